"""Whether the hot modules run compiled, or from their sources (`make compiled`, `make wheel`)."""

from __future__ import annotations

from importlib.util import find_spec

LIBRARY = "homeport_server__mypyc"  # what all compiled modules share; packaging/compiled/build.py


def are_compiled() -> bool:
    """Whether this installation has them compiled."""
    return find_spec(LIBRARY) is not None
