"""Task: what a server's task group runs until it stops."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

Task: TypeAlias = Callable[[], Coroutine[Any, Any, None]]
