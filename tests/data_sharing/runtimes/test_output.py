"""What an application prints: bounded while it prints, read once it has ended."""

from __future__ import annotations

import errno
import json

import pytest

from data_sharing.runtimes.limits_watch import LimitsWatch
from data_sharing.runtimes.output import (
    STDERR_TAIL_BYTES,
    OutputBuffer,
    StderrTail,
    command_input,
    read,
)
from data_sharing.runtimes.port import Invocation, InvocationStatus


def test_output_up_to_the_limit_is_kept_and_the_byte_beyond_it_stops_the_application() -> None:
    watch = LimitsWatch(cpu_s=1.0, wall_s=1.0)
    buffer = OutputBuffer(4, watch)
    assert buffer.write(b"abcd") is None
    assert not watch.overflowed
    assert buffer.write(b"e") == -errno.ENOSPC
    assert watch.overflowed
    assert buffer.content() == b"abcd"


def test_of_stderr_the_end_is_kept() -> None:
    tail = StderrTail()
    for _ in range(3):
        tail.write(b"x" * STDERR_TAIL_BYTES)
    tail.write("… the end\xff".encode("latin-1", errors="replace"))
    text = tail.text()
    assert text.endswith("the end�")
    assert len(text) <= STDERR_TAIL_BYTES


def test_a_command_finds_one_json_document_on_stdin() -> None:
    invocation = Invocation(action="ring", input='{"at": 1}', key='a "quoted" key')
    assert json.loads(command_input(invocation)) == {
        "action": "ring", "key": 'a "quoted" key', "input": {"at": 1},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "no output"),
        (b" \n", "no output"),
        (b"[1", "not one JSON document"),
        (b"1 2", "not one JSON document"),
        (b'"\xff"', "not UTF-8"),
        (b"[" + b"1," * 50 + b"1]", "larger than 100 bytes"),
    ],
)
def test_what_is_not_one_document_is_bad_output_and_says_why(
    content: bytes, complaint: str
) -> None:
    outcome = read(content, 100, "stderr says")
    assert outcome.status is InvocationStatus.BAD_OUTPUT
    assert complaint in outcome.message
    assert outcome.stderr_tail == "stderr says"


@pytest.mark.parametrize("content", [b"null", b" {} \n", b"100", b'"\\u00e9"'])
def test_any_one_document_is_an_outcome(content: bytes) -> None:
    outcome = read(content, 100)
    assert outcome.status is InvocationStatus.DONE
    assert outcome.value == json.loads(content)
