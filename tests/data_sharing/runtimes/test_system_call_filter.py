"""The filter, run by a small machine of our own: every call has the verdict that is written down,
on both architectures, also the one that these tests do not run on."""

from __future__ import annotations

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.errors import Refused
from data_sharing.runtimes.system_call_filter import filter_program
from data_sharing.runtimes.system_calls import ARCHITECTURES

ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
MACHINES = sorted(ARCHITECTURES)


def verdict(machine: str, number: int, arguments: tuple[int, ...] = (), audit: int = 0) -> int:
    """What the kernel would be told, by the rules of classic BPF."""
    data = struct.pack(
        "<IIQ6Q", number & 0xFFFFFFFF, audit or ARCHITECTURES[machine].audit, 0,
        *(*arguments, 0, 0, 0, 0, 0, 0)[:6],
    )  # fmt: skip
    program = list(struct.iter_unpack("<HBBI", filter_program(machine)))
    at = loaded = 0
    while True:
        code, yes, no, operand = program[at]
        at += 1
        if code == 0x20:
            (loaded,) = struct.unpack_from("<I", data, operand)
        elif code == 0x06:
            return int(operand)
        else:
            holds = {
                0x15: loaded == operand, 0x25: loaded > operand,
                0x35: loaded >= operand, 0x45: bool(loaded & operand),
            }[code]  # fmt: skip
            at += yes if holds else no


@pytest.mark.parametrize("machine", MACHINES)
def test_each_call_has_the_verdict_of_the_table(machine: str) -> None:
    one = ARCHITECTURES[machine]
    by_argument = {one.clone, one.clone3, one.ioctl, one.socket, one.socketpair}
    for number in range(one.highest + 1):
        if number not in by_argument:
            expected = ALLOW if number in one.allowed else ERRNO | errno.EPERM
            assert verdict(machine, number) == expected, number
    assert not by_argument & one.allowed


@pytest.mark.parametrize("machine", MACHINES)
@given(number=st.integers(451, 2**32 - 1))
def test_what_is_newer_than_the_table_is_not_there(machine: str, number: int) -> None:
    """The calls of x32 among it, which are those of x86_64 with bit 30."""
    assert verdict(machine, number) == ERRNO | errno.ENOSYS


@pytest.mark.parametrize("machine", MACHINES)
@given(number=st.integers(0, 2**32 - 1), audit=st.integers(1, 2**32 - 1))
def test_another_architecture_ends_the_process(machine: str, number: int, audit: int) -> None:
    if audit != ARCHITECTURES[machine].audit:
        assert verdict(machine, number, audit=audit) == KILL


@pytest.mark.parametrize("machine", MACHINES)
@given(flags=st.integers(0, 2**64 - 1))
def test_new_processes_yes_new_namespaces_no(machine: str, flags: int) -> None:
    wanted = verdict(machine, ARCHITECTURES[machine].clone, (flags,))
    assert wanted == (ERRNO | errno.EPERM if flags & 0x7E020000 else ALLOW)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("namespace", [0x20000, *(1 << bit for bit in range(25, 31))])
def test_no_namespace_is_forgotten(machine: str, namespace: int) -> None:
    fork = 17  # SIGCHLD
    assert verdict(machine, ARCHITECTURES[machine].clone, (fork,)) == ALLOW
    assert verdict(machine, ARCHITECTURES[machine].clone, (fork | namespace,)) != ALLOW


@pytest.mark.parametrize("machine", MACHINES)
@given(family=st.integers(0, 2**32 - 1))
def test_sockets_are_local(machine: str, family: int) -> None:
    one = ARCHITECTURES[machine]
    for number in (one.socket, one.socketpair):
        expected = ALLOW if family == 1 else ERRNO | errno.EAFNOSUPPORT
        assert verdict(machine, number, (family,)) == expected


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("request_", "allowed"),
    [(0x5401, True), (0x5412, False), (0x541C, False), (0x1_0000_5412, False), (0x541B, True)],
)
def test_nothing_is_typed_into_a_terminal(machine: str, request_: int, allowed: bool) -> None:
    """The kernel looks at the lower half of the request alone."""
    got = verdict(machine, ARCHITECTURES[machine].ioctl, (0, request_))
    assert (got == ALLOW) is allowed


@pytest.mark.parametrize("machine", MACHINES)
def test_clone3_is_not_there(machine: str) -> None:
    assert verdict(machine, ARCHITECTURES[machine].clone3) == ERRNO | errno.ENOSYS


def test_the_program_is_within_what_the_kernel_takes() -> None:
    """BPF_MAXINSNS of linux/bpf_common.h; and a pipe holds it, from which it is read."""
    for machine in MACHINES:
        assert len(filter_program(machine)) // 8 <= 4096
        assert len(filter_program(machine)) <= 65536


@pytest.mark.parametrize("machine", ["riscv64", "", "i686"])
def test_a_machine_without_a_table_is_refused(machine: str) -> None:
    with pytest.raises(Refused, match="no system call filter for"):
        filter_program(machine)
