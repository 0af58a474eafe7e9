"""What of a store cannot be read: keys that nobody of us wrote, and records that are none.

Somebody wrote past Homeport. Whoever reads many records passes over such a one, goes on with the
others and says so: in the log when it is met first, in metrics for as long as it stands.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

from control_plane.printable import quoted

MOST = 100  # keys that one reader names; of a store full of them no more is of use

# What a decoder raises for a record that is none. Of msgspec: its own errors, which are
# ValueErrors; UnicodeDecodeError for a string that is not UTF-8; RecursionError where brackets
# are nested deep, also in a field that is passed over.
UNREADABLE = (ValueError, RecursionError)


def name_in(key: bytes, prefix: bytes) -> str | None:
    """What a key says behind its prefix; None where that is nothing, or no UTF-8: then it is a
    key of nobody."""
    try:
        return key[len(prefix) :].decode() or None
    except UnicodeDecodeError:
        return None


def shown_key(key: bytes) -> str:
    r"""A key as metrics and reports name it, whatever its bytes.

    >>> shown_key(b"/homeport/v1/units/\xff")
    '/homeport/v1/units/\\xff'
    """
    return key.decode(errors="backslashreplace")


class DamagedKeys:
    """The keys that one reader, which looks at all of them again and again, cannot read. log: of
    the reader."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._standing: dict[bytes, None] = {}
        self._met: dict[bytes, None] = {}

    def __iter__(self) -> Iterator[str]:
        """Those that were met in the last look, or since, as metrics name them."""
        for key in list(dict.fromkeys([*self._standing, *self._met])):  # another thread may ask
            yield shown_key(key)

    def pass_over(self, key: bytes, why: object = "it is no key of ours") -> None:
        """It was met, and is left out. Logged unless it was met in the look before."""
        if key in self._met or len(self._met) >= MOST:
            return
        self._met[key] = None
        if key not in self._standing:
            self._log.error("leaving out the damaged record %s: %s", quoted(key), why)

    def names(self, keys: Iterable[bytes], prefix: bytes) -> Iterator[tuple[bytes, str]]:
        """Of these keys those that say something behind the prefix, and what; the others are
        passed over."""
        for key in keys:
            name = name_in(key, prefix)
            if name is None:
                self.pass_over(key)
            else:
                yield key, name

    def end_look(self) -> None:
        """All keys were looked at: what was not met stands no more."""
        self._standing, self._met = self._met, {}
