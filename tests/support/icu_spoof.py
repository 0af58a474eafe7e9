"""The skeletons of ICU's SpoofChecker, from the C library of the system: a second opinion."""

from __future__ import annotations

import ctypes
import ctypes.util
import re
from collections.abc import Callable

import pytest


def icu_skeleton() -> Callable[[str], str]:
    """What UTS #39 makes of a text, by the data of that ICU. Skips the test where there is none."""
    name = ctypes.util.find_library("icui18n")
    version = re.search(r"\.so\.(\d+)", name or "")
    if name is None or version is None:
        pytest.skip("there is no ICU (libicui18n) on this machine to compare with")
    library = ctypes.CDLL(name)
    status = ctypes.c_int(0)
    begin = library[f"uspoof_open_{version[1]}"]
    begin.restype = ctypes.c_void_p
    checker = ctypes.c_void_p(begin(ctypes.byref(status)))
    assert status.value <= 0, f"ICU cannot begin: {status.value}"
    made = library[f"uspoof_getSkeletonUTF8_{version[1]}"]

    def skeleton(text: str) -> str:
        content = text.encode()
        room = ctypes.create_string_buffer(64 + 32 * len(content))
        failed = ctypes.c_int(0)
        length: int = made(checker, 0, content, len(content), room, len(room), ctypes.byref(failed))
        assert failed.value <= 0, f"ICU cannot read {text!r}: {failed.value}"
        return room.raw[:length].decode()

    return skeleton
