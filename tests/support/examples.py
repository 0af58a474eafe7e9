"""Properties that take long to be looked at: with few examples in the suite, with many in
`make test-slow`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis.strategies import SearchStrategy


def examples(
    few: int, many: int, *strategies: SearchStrategy[Any]
) -> Callable[[Callable[..., None]], Callable[[int], None]]:
    """In place of `@settings` and `@given`. What is decorated takes a value of each strategy."""

    def decorate(holds: Callable[..., None]) -> Callable[[int], None]:
        @pytest.mark.parametrize(
            "count",
            [pytest.param(few, id="few"), pytest.param(many, id="many", marks=pytest.mark.slow)],
        )
        def test(count: int) -> None:
            settings(max_examples=count, deadline=None)(given(*strategies)(holds))()

        test.__name__, test.__doc__ = holds.__name__, holds.__doc__
        test.__qualname__, test.__module__ = holds.__qualname__, holds.__module__
        return test

    return decorate
