"""WASI preview 1 for commands: stdio in memory, and of the rest only what was granted.

wasmtime's own WASI knows no way to withhold clocks and randomness, and would sleep in the host
for as long as a guest likes, where nothing can interrupt it. So those functions are replaced:
clocks stand still, randomness is one fixed sequence, waiting is not supported. They answer with
error numbers and never raise: wasmtime-py carries exceptions of host functions through a global,
which another thread could pick up.

Ending is replaced as well, because wasmtime takes a status above 125 for a trap and drops the
number, though guests end with such (130 after Ctrl-C, 255 for -1). What is given instead ends the
guest with a trap whose message is the status.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from ctypes import CFUNCTYPE, c_void_p, cast, create_string_buffer
from typing import Any

from wasmtime import (
    Caller,
    Engine,
    FuncType,
    Linker,
    Memory,
    Trap,
    ValType,
    WasiConfig,
    WasmtimeError,
)
from wasmtime import _bindings as ffi

from data_sharing.runtimes.port import Capabilities

MODULE = "wasi_snapshot_preview1"
OK, FAULT, INVALID, NOT_SUPPORTED = 0, 21, 28, 58
RANDOM_BYTES_A_CALL = 65536
STOPPED_AT_NS = 10**9  # not 0: Go takes a clock at 0 for a broken one and ends
FIXED_RANDOM = hashlib.shake_128(b"homeport").digest(RANDOM_BYTES_A_CALL)
I32, I64 = ValType.i32(), ValType.i64()
_EXIT = re.compile(r"ended with exit code (-?\d+)\Z")


def linker(engine: Engine, capabilities: Capabilities) -> Linker:
    """Gives a command WASI, within its grants."""
    made = Linker(engine)
    made.define_wasi()
    made.allow_shadowing = True

    def replace(name: str, parameters: list[ValType], function: Callable[..., int]) -> None:
        made.define_func(MODULE, name, FuncType(parameters, [I32]), function, access_caller=True)

    # Sleeping would hold a thread beyond every limit, whatever was granted.
    replace("poll_oneoff", [I32] * 4, lambda *_: NOT_SUPPORTED)
    if not capabilities.clock:
        replace("clock_time_get", [I32, I64, I32], _stopped_clock)
        replace("clock_res_get", [I32, I32], _coarse_clock)
    replace("random_get", [I32, I32], _random if capabilities.random else _fixed_random)
    _define_exit(made)
    return made


def ended(code: int) -> str:
    """What the error says by which a guest is ended that ends itself."""
    return f"ended with exit code {code}"


def exit_code(error: Exception) -> int | None:
    """The exit code of the guest that this error of wasmtime's ended, as the guest gave it (a
    32-bit number with a sign); None where it did not end itself."""
    found = _EXIT.search(str(error).rstrip())
    return int(found[1]) if found else None


def _exit(env: Any, caller: Any, parameters: Any, count: int, results: Any, wanted: int) -> Any:
    """proc_exit, without the Python around host functions: a trap that is returned goes through
    no global."""
    trap = Trap(ended(parameters[0].of.i32))
    return cast(trap._consume(), c_void_p).value


_EXIT_CALLBACK = ffi.wasmtime_func_callback_t(_exit)  # lives as long as any linker that has it


def _define_exit(made: Linker) -> None:
    module, name = MODULE.encode(), b"proc_exit"
    takes = FuncType([I32], [])  # named, so that it lives as long as its pointer is used
    error = ffi.wasmtime_linker_define_func(
        made.ptr(),
        create_string_buffer(module),
        len(module),
        create_string_buffer(name),
        len(name),
        takes.ptr(),
        _EXIT_CALLBACK,
        None,
        cast(0, CFUNCTYPE(None, c_void_p)),
    )
    if error:
        raise WasmtimeError._from_ptr(error)


def configuration(
    stdin: bytes,
    capabilities: Capabilities,
    stdout: Callable[[bytes], int | None],
    stderr: Callable[[bytes], None],
) -> WasiConfig:
    """The WASI side of one instance."""
    config = WasiConfig()
    vector = ffi.wasm_byte_vec_t()
    ffi.wasm_byte_vec_new(
        vector, len(stdin), (ffi.wasm_byte_t * len(stdin)).from_buffer_copy(stdin)
    )
    ffi.wasi_config_set_stdin_bytes(config.ptr(), vector)  # takes the vector over
    config.stdout_custom = stdout
    config.stderr_custom = stderr
    if capabilities.environment:
        config.env = capabilities.environment
    for grant in capabilities.files:
        config.preopen_dir(grant.host_path, grant.guest_path, grant.writable)
    return config


def _write(caller: Caller, address: int, data: bytes) -> int:
    memory = caller.get("memory")
    start = address & 0xFFFFFFFF
    if not isinstance(memory, Memory) or start + len(data) > memory.data_len(caller):
        return FAULT
    memory.write(caller, data, start)
    return OK


def _stopped_clock(caller: Caller, _clock: int, _precision: int, address: int) -> int:
    return _write(caller, address, STOPPED_AT_NS.to_bytes(8, "little"))


def _coarse_clock(caller: Caller, _clock: int, address: int) -> int:
    return _write(caller, address, (10**9).to_bytes(8, "little"))


def _fixed_random(caller: Caller, address: int, size: int) -> int:
    if not 0 <= size <= RANDOM_BYTES_A_CALL:
        return INVALID
    return _write(caller, address, FIXED_RANDOM[:size])


def _random(caller: Caller, address: int, size: int) -> int:
    if not 0 <= size <= RANDOM_BYTES_A_CALL:
        return INVALID
    return _write(caller, address, os.urandom(size))
