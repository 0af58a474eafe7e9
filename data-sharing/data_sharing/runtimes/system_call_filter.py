"""System call filter: the seccomp program that narrows what a process may ask of the kernel.

What is not in the table of system_calls fails with EPERM, a call that is newer than the table
with ENOSYS, so that programs fall back to an older one. New processes and threads are allowed, new
namespaces are not; sockets are local ones; a terminal gets no input made up for it. Calls by the
numbers of another architecture end the process. The program is classic BPF, as seccomp(2) takes
it: an array of struct sock_filter (linux/filter.h).
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from control_plane.errors import Refused
from data_sharing.runtimes.system_calls import ARCHITECTURES, Architecture

# linux/bpf_common.h
_LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_JUMP_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_JUMP_GREATER = 0x25
_JUMP_AT_LEAST = 0x35
_JUMP_ANY_BIT = 0x45
_RETURN = 0x06
# struct seccomp_data of linux/seccomp.h; arguments have 64 bits, lower half first here
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000

_NEW_NAMESPACES = 0x7E020000  # CLONE_NEWNS, -CGROUP, -UTS, -IPC, -USER, -PID, -NET
_AF_UNIX = 1
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C  # both put input into a terminal

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, operand


def filter_program(machine: str) -> bytes:
    """For a machine, as uname names it. Raises Refused for one without a table."""
    architecture = ARCHITECTURES.get(machine)
    if architecture is None:
        raise Refused(
            f"this machine cannot isolate processes: there is no system call filter for {machine}, "
            f"only for {' and '.join(ARCHITECTURES)}; build the application as wasm"
        )
    return b"".join(struct.pack("<HBBI", *one) for one in instructions(architecture))


def instructions(architecture: Architecture) -> list[Instruction]:
    """The same before it is encoded."""
    return [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_EQUAL, 1, 0, architecture.audit),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        *_when(architecture.clone, _unless_any_bit(0, _NEW_NAMESPACES)),
        *_when(architecture.clone3, [_failing(errno.ENOSYS)]),  # its flags are out of sight
        *_when(architecture.ioctl, _unless_one_of(1, (_TIOCSTI, _TIOCLINUX))),
        *_when(architecture.socket, _only(0, _AF_UNIX, errno.EAFNOSUPPORT)),
        *_when(architecture.socketpair, _only(0, _AF_UNIX, errno.EAFNOSUPPORT)),
        *(one for run in _runs(architecture.allowed) for one in _allow(*run)),
        (_JUMP_GREATER, 0, 1, architecture.highest),
        _failing(errno.ENOSYS),
        _failing(errno.EPERM),
    ]


def _failing(number: int) -> Instruction:
    return (_RETURN, 0, 0, _ERRNO | number)


def _argument(place: int) -> Instruction:
    """Loads the lower 32 bits, all that the calls here look at."""
    return (_LOAD, 0, 0, _ARGUMENTS + 8 * place)


def _when(number: int, body: Sequence[Instruction]) -> list[Instruction]:
    """`body`, which returns, for one call; the number stays loaded for the others."""
    return [(_JUMP_EQUAL, 0, len(body), number), *body]


def _unless_any_bit(place: int, mask: int) -> list[Instruction]:
    allow = (_RETURN, 0, 0, _ALLOW)
    return [_argument(place), (_JUMP_ANY_BIT, 0, 1, mask), _failing(errno.EPERM), allow]


def _unless_one_of(place: int, values: Sequence[int]) -> list[Instruction]:
    tests = [(_JUMP_EQUAL, len(values) - at, 0, value) for at, value in enumerate(values)]
    return [_argument(place), *tests, (_RETURN, 0, 0, _ALLOW), _failing(errno.EPERM)]


def _only(place: int, value: int, otherwise: int) -> list[Instruction]:
    return [
        _argument(place),
        (_JUMP_EQUAL, 0, 1, value),
        (_RETURN, 0, 0, _ALLOW),
        _failing(otherwise),
    ]


def _allow(first: int, last: int) -> list[Instruction]:
    return [(_JUMP_AT_LEAST, 0, 2, first), (_JUMP_GREATER, 1, 0, last), (_RETURN, 0, 0, _ALLOW)]


def _runs(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Numbers in a row, as first and last."""
    for _, group in groupby(enumerate(sorted(numbers)), lambda pair: pair[1] - pair[0]):
        row = [number for _, number in group]
        yield row[0], row[-1]
