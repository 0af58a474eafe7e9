"""What a failed build says: the author's own mistake, without the toolchain's machine code."""

from __future__ import annotations

from data_sharing.runtimes.builder import without_native_frames

SAID = """\
Traceback (most recent call last):
  File "/0/application.py", line 3, in <module>
    import nothing_there
ModuleNotFoundError: No module named 'nothing_there'

Error: failed to run the initialiser

Caused by:
    0: error while executing at wasm backtrace:
           0: 0x2b1c - libcomponentize_py_runtime.so!componentize_py_runtime::init
           1: 0x9f - <unknown>!init
       note: using the `WASMTIME_BACKTRACE_DETAILS=1` environment variable may show more
    1: Exited with i32 exit status 1

Stack backtrace:
   0: anyhow::error::<impl core::convert::From<E> for anyhow::Error>::from
             at /root/.cargo/registry/src/anyhow-1.0/src/backtrace.rs:27:14
   1: componentize_py::command::run
   2: __libc_start_call_main
   3: main
"""


def test_native_frames_go_and_the_authors_own_stay() -> None:
    kept = without_native_frames(SAID)
    for line in (
        '  File "/0/application.py", line 3, in <module>',
        "    import nothing_there",
        "ModuleNotFoundError: No module named 'nothing_there'",
        "Error: failed to run the initialiser",
        "    1: Exited with i32 exit status 1",
    ):
        assert line in kept.splitlines()
    for word in ("backtrace", "0x2b1c", "anyhow", "__libc", "componentize_py::", "WASMTIME"):
        assert word not in kept


def test_what_compilers_say_of_a_source_stays() -> None:
    said = "error[E0425]: cannot find value `x`\n --> application.rs:3:5\n  |\n3 |     x\n  |     ^"
    assert without_native_frames(said) == said
