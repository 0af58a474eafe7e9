"""By what the members of a conversation are called in a terminal. Pure.

Everybody calls themselves what they like: a name that could be taken for somebody else's stands
beside the id that it belongs to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from urllib.parse import unquote

from console.cli.calls.conversations import FoundName
from control_plane.identifiers.skeleton import skeleton
from control_plane.printable import printable

ME = "you"
MOST_COMPARED = 200  # characters


def labels_of(others: Sequence[FoundName]) -> Mapping[str, str]:
    """What each member is called, by the member. Of somebody without a name: their address, their
    handle or their id.

    >>> labels_of([FoundName("ben-1", "@ben", "Ben"), FoundName("tel:+442079460302", "")])
    {'ben-1': 'Ben', 'tel:+442079460302': '+442079460302'}
    """
    named = {one.member: _plain(one.called) for one in others}
    owned = Counter(_same(name) for name in named.values())
    taken = {_same(ME)}
    for one in others:
        taken |= {_same(one.member), _same(_address(one))} - {_same(named[one.member])}
    labels = {}
    for one in others:
        name, address = named[one.member], _address(one)
        clear = bool(name) and owned[_same(name)] == 1 and _same(name) not in taken
        labels[one.member] = name if clear else f"{name} ({address})" if name else address
    return labels


def _address(one: FoundName) -> str:
    if one.way:
        return unquote(one.member.partition(":")[2])
    return one.shown or one.member


def _plain(name: str) -> str:
    """In one line, with nothing that moves a cursor."""
    return " ".join(printable(name).split())


def _same(name: str) -> str:
    """Of names that can be taken for each other it is the same."""
    return skeleton(name[:MOST_COMPARED]).casefold()
