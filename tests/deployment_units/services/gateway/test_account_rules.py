"""Rules of accounts: what is no document is refused, and why."""

import threading

import pytest

from control_plane.errors import InvalidInput
from deployment_units.services.gateway.account_rules import (
    MOST_DOCUMENT_BYTES,
    CompiledRules,
    compiled_of,
)
from deployment_units.services.gateway.documents import AccountReaching

DEEP = 20_000


@pytest.mark.parametrize(
    ("document", "says"),
    [
        pytest.param("{", "truncated", id="half of one"),
        pytest.param("[" * DEEP + "]" * DEEP, "nested too deep", id="deep"),
        pytest.param(
            '{"other": ' + "[" * DEEP + "]" * DEEP + "}", "nested too deep", id="deep inside"
        ),
        pytest.param("[]", "object", id="a list"),
        pytest.param(" " * MOST_DOCUMENT_BYTES + "{}", "at most", id="long"),
    ],
)
def test_what_is_no_document_is_refused_by_what_is_wrong(document: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says) as refused:
        compiled_of(document)
    assert refused.value.field == "document"


def document(number: int) -> str:
    return f'{{"rules":[{{"name":"r{number}","when":"true","then":{{"withhold":true}}}}]}}'


def test_of_large_documents_fewer_are_kept_compiled() -> None:
    rules = CompiledRules(most=5, most_characters=3 * len(document(1)))
    for number in range(1, 9):
        rules.of(document(number))
    assert len(rules) == 3
    alone = CompiledRules(most_characters=1)
    assert alone.of(document(1)) is alone.of(document(1))
    assert len(alone) == 1


async def test_what_is_prepared_is_compiled_once_and_apart_from_the_loop() -> None:
    threads: list[int] = []

    def compile(text: str) -> AccountReaching:
        threads.append(threading.get_ident())
        return compiled_of(text)

    rules = CompiledRules(compile=compile)
    for _ in range(2):
        await rules.prepare(document(1))
        rules.of(document(1))
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()
    with pytest.raises(InvalidInput):
        await rules.prepare("{")
