"""Calls at a client's home that are opened anew are the only ones that are open."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import pytest

from console.cli.commands.at_home import one_at_a_time
from homeport.errors import Unavailable


class Opened:
    """Calls that note whether they are open."""

    def __init__(self) -> None:
        self.open = False

    def __enter__(self) -> Self:
        self.open = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.open = False


def test_those_before_are_closed_once_there_are_new_ones() -> None:
    made: list[Opened] = []
    away = False

    def open_calls() -> Any:
        if away:
            raise Unavailable("away")
        made.append(Opened())
        return made[-1]

    with ExitStack() as opened:
        calls = one_at_a_time(opened, open_calls)
        calls()
        calls()
        assert [one.open for one in made] == [False, True]
        away = True
        with pytest.raises(Unavailable):
            calls()
        assert made[-1].open
    assert [one.open for one in made] == [False, False]
