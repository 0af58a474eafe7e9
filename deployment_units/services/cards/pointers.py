"""JSON Pointers (RFC 6901): where in a document something is. Pure."""

from __future__ import annotations


def below(pointer: str, *steps: str | int) -> str:
    """The pointer to something within what a pointer is to.

    >>> below("/body/0", "a/b", 2)
    '/body/0/a~1b/2'
    """
    return pointer + "".join(
        f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in steps
    )
