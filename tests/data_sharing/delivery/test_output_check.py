"""The output of an action, held against the schema that its application declares."""

from __future__ import annotations

import dataclasses

import pytest
from msgspec.structs import replace

from data_sharing.delivery.output_check import OutputCheck
from data_sharing.instruction import Performance, Performed
from tests.support.decisions_harness import LAMP, TENANT, find_lamp
from tests.support.instructions import RING

BLINK = replace(RING, tenant=TENANT, application="lamp", version="1.2.0", action="blink")
DONE = Performed(instruction="i-1", attempt=1, status=Performance.DONE, platform="hub", output="3")
CHECK = OutputCheck(find_lamp)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        pytest.param('"three"', "its output breaks its schema at /: ", id="another-type"),
        pytest.param("{", "its output is not JSON: ", id="no-json"),
        pytest.param(r'"a\u0000b"', "its output holds U+0000", id="nul"),
        pytest.param(r'{"a\u0000": [1]}', "its output holds U+0000", id="nul-in-a-name"),
    ],
)
def test_what_breaks_the_schema_is_bad_output(output: str, message: str) -> None:
    checked = CHECK.checked(BLINK, dataclasses.replace(DONE, output=output))
    assert checked.status is Performance.BAD_OUTPUT
    assert checked.message.startswith(message)


def test_what_would_take_too_long_to_be_checked_is_bad_output() -> None:
    costly = {"items": {"anyOf": [{"const": n} for n in range(99)]}}
    blink = LAMP.manifest.action("blink")
    assert blink is not None
    manifest = dataclasses.replace(
        LAMP.manifest, actions=(dataclasses.replace(blink, output=costly),)
    )
    check = OutputCheck(lambda *name: dataclasses.replace(LAMP, manifest=manifest))
    few, many = ("[" + "1," * count + "1]" for count in (90, 20_000))
    assert check.checked(BLINK, dataclasses.replace(DONE, output=few)).status is DONE.status
    checked = check.checked(BLINK, dataclasses.replace(DONE, output=many))
    assert checked.status is Performance.BAD_OUTPUT
    assert "Send less at once" in checked.message


@pytest.mark.parametrize(
    ("instruction", "performed"),
    [
        pytest.param(BLINK, DONE, id="it-conforms"),
        pytest.param(
            replace(BLINK, action="unlock"),
            dataclasses.replace(DONE, output=r'{"a": "\\u0000"}'),
            id="six-characters-that-only-look-like-nul",
        ),
        pytest.param(
            BLINK, dataclasses.replace(DONE, status=Performance.FAILED, output="{"), id="not-done"
        ),
        pytest.param(
            replace(BLINK, action="unlock"), dataclasses.replace(DONE, output="{}"), id="any-output"
        ),
        pytest.param(
            replace(BLINK, version="0.1.0"),
            dataclasses.replace(DONE, output='"x"'),
            id="a-version-that-is-gone",
        ),
        pytest.param(
            replace(BLINK, action="dance"),
            dataclasses.replace(DONE, output='"x"'),
            id="an-action-that-is-gone",
        ),
    ],
)
def test_what_does_not_break_it_stays_as_it_is(instruction, performed) -> None:
    assert CHECK.checked(instruction, performed) == performed
