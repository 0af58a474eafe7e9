"""Ways out of the sandbox, each tried from inside: none leads anywhere.

What is tried is harmless where it works. Each way is one that a protection closes: without it the
test fails. System calls are made by the system's Python, where there is one.
"""

from __future__ import annotations

import contextlib
import os
import platform
import struct
import subprocess
import textwrap
import threading
from pathlib import Path

import psutil
import pytest

from data_sharing.runtimes.port import MIB, InvocationStatus, Limits
from data_sharing.runtimes.sandbox import MOST_TMP_BYTES, NOBODY, PROCESSES, Sandbox, Tools
from tests.support.processes import GRANTED, LIMITS, install
from tests.support.wasm_guests import asks

PYTHON = "/usr/bin/python3"
PATIENT = Limits(cpu_s=20, wall_s=60, memory_bytes=256 * MIB)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        pytest.param("touch /x", "Read-only file system", id="its-root"),
        pytest.param("touch /dev/x", "Read-only file system", id="dev"),
        pytest.param("touch /dev/shm/x", "Read-only file system", id="shared-memory"),
        pytest.param("touch /usr/x", "Read-only file system", id="the-system"),
        pytest.param("echo x >> /application", "/application", id="itself"),
        pytest.param("echo x > /proc/self/comm", "Read-only file system", id="proc"),
        pytest.param("echo 1 > /proc/sys/net/ipv4/ip_forward", "Read-only file system",
                     id="proc-sys"),
        pytest.param("echo 1 > /proc/self/oom_score_adj", "Read-only file system", id="oom-score"),
        pytest.param("ls /sys", "No such file", id="sys"),
        pytest.param("cat /etc/passwd", "No such file", id="etc"),
        pytest.param("ls /root", "No such file", id="homes"),
        pytest.param("cat /dev/kmsg", "No such file", id="devices"),
        pytest.param("mknod /tmp/null c 1 3", "not permitted", id="making-a-device"),
        pytest.param("unshare --user true", "Operation not permitted", id="user-namespace"),
        pytest.param("unshare --net true", "Operation not permitted", id="network-namespace"),
        pytest.param("mount -t tmpfs none /tmp", "mount", id="mounting"),
        pytest.param("umount /proc", "umount", id="unmounting"),
        pytest.param("head -c 200000000 /dev/zero > /tmp/x", "No space left", id="filling-tmp"),
        pytest.param("ulimit -v unlimited", "ulimit", id="raising-a-limit"),
    ],
)  # fmt: skip
def test_it_leads_nowhere(tmp_path: Path, script: str, said: str) -> None:
    outcome = install(tmp_path, script + " && echo 1").invoke(asks())
    assert outcome.status is InvocationStatus.FAILED, outcome
    assert said in outcome.stderr_tail


def value_of(tmp_path: Path, script: str, limits: Limits = LIMITS) -> object:
    outcome = install(tmp_path, script, limits).invoke(asks())
    assert outcome.status is InvocationStatus.DONE, outcome
    return outcome.value


def test_it_is_nobody(tmp_path: Path) -> None:
    assert value_of(tmp_path, "echo [$(id -u), $(id -g)]") == [NOBODY, NOBODY]


def test_outside_it_is_not_root_either(tmp_path: Path) -> None:
    """As the machine sees it while it runs."""
    installed = install(tmp_path, "exec sleep 30", PATIENT)
    running = threading.Thread(target=installed.invoke, args=(asks(),))
    running.start()
    seen = None
    while seen is None and running.is_alive():
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.cmdline() == ["sleep", "30"]:
                    seen = process.uids()
                    process.kill()
    running.join()
    assert seen is not None
    assert NOBODY in seen or os.geteuid() != 0
    assert 0 not in seen


def test_it_has_no_capability_and_gains_none(tmp_path: Path) -> None:
    script = (
        "grep -E '^(Cap(Eff|Prm|Bnd)|NoNewPrivs|Seccomp):' /proc/self/status | tr -s '\\t\\n' ' '; "
    )
    outcome = install(tmp_path, script + "exit 3").invoke(asks())
    assert outcome.status is InvocationStatus.FAILED
    printed = install(tmp_path, script.replace("; ", " >&2; ") + "exit 3").invoke(asks())
    words = printed.stderr_tail.split()
    found = dict(zip(words[::2], words[1::2], strict=True))
    none = "0" * 16
    assert found == {
        "CapPrm:": none, "CapEff:": none, "CapBnd:": none, "NoNewPrivs:": "1", "Seccomp:": "2",
    }  # fmt: skip


def test_further_user_namespaces_are_used_up(tmp_path: Path) -> None:
    """Besides the system call filter, in whose place here is one that allows everything."""
    install(tmp_path, "true")  # skips where the machine cannot isolate
    tools = Tools.find("bwrap")
    if not tools.disables_userns:
        pytest.skip("this bubblewrap cannot forbid user namespaces; the filter does")
    reading, writing = os.pipe()
    os.write(writing, struct.pack("<HBBI", 0x06, 0, 0, 0x7FFF0000))
    os.close(writing)
    sandbox = Sandbox(tools=tools, limits=LIMITS, capabilities=GRANTED, as_root=os.geteuid() == 0)
    command = sandbox.command(["unshare", "--user", "true"], filter_fd=reading)
    ran = subprocess.run(command, pass_fds=[reading], capture_output=True, timeout=20, check=False)
    os.close(reading)
    assert b"No space left on device" in ran.stderr, ran


def test_tmp_has_a_size(tmp_path: Path) -> None:
    script = "df --output=size --block-size=1 /tmp | tail -1"
    assert value_of(tmp_path, script) == MOST_TMP_BYTES
    small = Limits(cpu_s=1, wall_s=20, memory_bytes=48 * MIB)
    assert value_of(tmp_path, script, small) == 48 * MIB


def test_a_fork_bomb_is_bounded_and_the_next_one_starts_afresh(tmp_path: Path) -> None:
    script = "i=0; while [ $i -lt 200 ]; do sleep 20 & i=$((i+1)); done; echo $i"
    bomb = install(tmp_path, script, PATIENT, interpreter="/bin/sh")  # which does not try again
    for _ in range(2):
        outcome = bomb.invoke(asks())
        assert outcome.status is InvocationStatus.FAILED, outcome
        assert "fork" in outcome.stderr_tail
    few = script.replace("200", str(PROCESSES // 2)).replace("sleep 20", "sleep 0.1")
    assert install(tmp_path, few, PATIENT, interpreter="/bin/sh").invoke(asks()).value


def test_processes_share_their_memory_limit(tmp_path: Path) -> None:
    """Each is far from its own limit."""
    hold = "(head -c 90000000 /dev/zero; sleep 5) | tail -c 90000000 > /dev/null & "
    outcome = install(tmp_path, hold * 5 + "wait; echo 1", PATIENT).invoke(asks())
    assert outcome.status is InvocationStatus.OUT_OF_MEMORY, outcome


def test_what_lies_in_tmp_counts_as_memory(tmp_path: Path) -> None:
    small = Limits(cpu_s=20, wall_s=60, memory_bytes=48 * MIB)
    hold = "(head -c 30000000 /dev/zero; sleep 5) | tail -c 30000000 > /dev/null & "
    script = hold + "head -c 40000000 /dev/zero > /tmp/x; wait; echo 1"
    outcome = install(tmp_path, script, small).invoke(asks())
    assert outcome.status is InvocationStatus.OUT_OF_MEMORY, outcome


def test_processes_share_their_cpu_limit(tmp_path: Path) -> None:
    script = "for i in 1 2 3 4; do (while :; do :; done) & done; wait"
    outcome = install(tmp_path, script).invoke(asks())
    assert outcome.status is InvocationStatus.TIMED_OUT
    assert "of CPU" in outcome.message
    assert 1.0 <= outcome.cpu_s < 3.0, "four of them would have had as much each"


def test_the_cpu_used_is_told(tmp_path: Path) -> None:
    outcome = install(tmp_path, "for i in $(seq 20000); do :; done; echo 1").invoke(asks())
    assert 0.0 < outcome.cpu_s < 1.0


# Calls that do nothing and yet succeed, or fail otherwise, where no filter refuses them.
_CALLS = {
    "keyctl": "call('keyctl', 0, -3, 0)",
    "add_key": "call('add_key', None, None, None, 0, 0)",
    "ptrace": "call('ptrace', 0, 0, 0, 0)",
    "process_vm_readv": "call('process_vm_readv', 0, 0, 0, 0, 0, 0)",
    "bpf": "call('bpf', 9999, 0, 0)",
    "perf_event_open": "call('perf_event_open', 0, 0, -1, -1, 0)",
    "userfaultfd": "call('userfaultfd', 1)",
    "io_uring_setup": "call('io_uring_setup', 1, 0)",
    "unshare": "call('unshare', 0)",
    "setns": "call('setns', -1, 0)",
    "personality": "call('personality', 0xffffffff)",
    "pivot_root": "call('pivot_root', 0, 0)",
    "fsopen": "call('fsopen', 0, 0)",
    "name_to_handle_at": "call('name_to_handle_at', -1, 0, 0, 0, 0)",
    "mount": "call('mount', 0, 0, 0, 0, 0)",
    "init_module": "call('init_module', 0, 0, 0)",
    "clone-new-user": "call('clone', 0x10000011, 0, 0, 0, 0)",
    "clone-new-net": "call('clone', 0x40000011, 0, 0, 0, 0)",
    "tiocsti": "call('ioctl', 0, 0x5412, 0)",
}
_NUMBERS = {
    "x86_64": {
        "keyctl": 250, "add_key": 248, "ptrace": 101, "process_vm_readv": 310, "bpf": 321,
        "perf_event_open": 298, "userfaultfd": 323, "io_uring_setup": 425, "unshare": 272,
        "setns": 308, "personality": 135, "pivot_root": 155, "fsopen": 430,
        "name_to_handle_at": 303, "mount": 165, "init_module": 175, "clone": 56, "ioctl": 16,
        "clone3": 435, "getpid": 39,
    },
    "aarch64": {
        "keyctl": 219, "add_key": 217, "ptrace": 117, "process_vm_readv": 270, "bpf": 280,
        "perf_event_open": 241, "userfaultfd": 282, "io_uring_setup": 425, "unshare": 97,
        "setns": 268, "personality": 92, "pivot_root": 41, "fsopen": 430,
        "name_to_handle_at": 264, "mount": 40, "init_module": 105, "clone": 220, "ioctl": 29,
        "clone3": 435, "getpid": 172,
    },
}  # fmt: skip


def asked_of_the_kernel(tmp_path: Path, expression: str) -> object:
    """[result, errno] of one call, made inside."""
    if not Path(PYTHON).exists():
        pytest.skip(f"there is no {PYTHON}, which makes the calls")
    numbers = _NUMBERS.get(platform.machine())
    if numbers is None:
        pytest.skip(f"the numbers of {platform.machine()} are not known here")
    script = textwrap.dedent(f"""
        import ctypes, json
        numbers = {numbers!r}
        libc = ctypes.CDLL(None, use_errno=True)
        def call(name, *arguments):
            result = libc.syscall(numbers[name], *(ctypes.c_long(a or 0) for a in arguments))
            return [result, ctypes.get_errno() if result == -1 else 0]
        print(json.dumps({expression}))
    """)
    outcome = install(tmp_path, script, PATIENT, interpreter=PYTHON).invoke(asks())
    assert outcome.status is InvocationStatus.DONE, outcome
    return outcome.value


@pytest.mark.parametrize("name", _CALLS)
def test_the_kernel_is_not_asked(tmp_path: Path, name: str) -> None:
    assert asked_of_the_kernel(tmp_path, _CALLS[name]) == [-1, 1], "EPERM"


def test_what_is_newer_than_the_table_is_not_there(tmp_path: Path) -> None:
    """So that programs fall back; clone3 among it, whose flags no filter sees."""
    numbers = _NUMBERS.get(platform.machine(), {})
    numbers["newer"] = 900
    assert asked_of_the_kernel(tmp_path, "call('newer', 0)") == [-1, 38], "ENOSYS"
    assert asked_of_the_kernel(tmp_path, "call('clone3', 0, 0)") == [-1, 38], "ENOSYS"


@pytest.mark.parametrize(("family", "error"), [(1, 0), (2, 97), (10, 97), (16, 97), (40, 97)])
def test_sockets_are_local(tmp_path: Path, family: int, error: int) -> None:
    made = f"libc.socket({family}, 1, 0)"
    got = asked_of_the_kernel(tmp_path, f"[{made} >= 0, ctypes.get_errno()]")
    assert got == [error == 0, error]


def test_what_programs_need_works(tmp_path: Path) -> None:
    """Threads, processes, pipes, time, files, randomness, an event loop: a whole runtime."""
    script = """
        import asyncio, hashlib, json, os, pathlib, subprocess, tempfile, threading, time
        found = []
        thread = threading.Thread(target=lambda: found.append("thread")); thread.start()
        thread.join()
        ran = subprocess.run(["echo", "process"], capture_output=True, text=True)
        found.append(ran.stdout.strip())
        with tempfile.NamedTemporaryFile("w+") as file:
            file.write("file"); file.seek(0); found.append(file.read())
        async def loop():
            await asyncio.sleep(0.01)
            return "loop"
        found.append(asyncio.run(loop()))
        assert os.urandom(8) != os.urandom(8) and time.time() > 0
        print(json.dumps(found))
    """
    if not Path(PYTHON).exists():
        pytest.skip(f"there is no {PYTHON}")
    outcome = install(tmp_path, textwrap.dedent(script), PATIENT, interpreter=PYTHON).invoke(asks())
    assert outcome.value == ["thread", "process", "file", "loop"], outcome
