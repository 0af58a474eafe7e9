"""Page spans: in which parts etcd is asked for one page of a long range. Pure.

etcd walks every key of the range that it is asked for, also behind the limit, since it counts them
(`treeIndex.Revisions` in server/storage/mvcc, 3.4 to 3.6), and writers wait meanwhile. So a page of
ten million keys costs as much as all of them, and reading all pages the square of that. Of a long
range only spans are asked for, each of the keys that share so many first bytes, until they make a
page; how many bytes that are is remembered for the next page.
"""

from __future__ import annotations

from dataclasses import dataclass

from control_plane.keys import prefix_end
from control_plane.store.etcd.first_span import FEW, FirstSpan

SHORT = 20_000  # keys: a range of no more is asked for whole; walking them takes milliseconds
MANY = 8  # a span has too many keys above eight pages
EMPTY_SPANS = 4  # so many in a row: what is behind them is asked for whole, if that may be short


@dataclass(slots=True)
class RangeMemory:
    """Of one prefix. count: keys when it was last asked for whole; 0: it was not. depth: bytes that
    the keys of a span share; 0: not known. first_end: behind the first page; empty: not known.
    is_long: it was found to be, without asking for all of it. is_new: nothing was found yet."""

    count: int = 0
    depth: int = 0
    first_end: bytes = b""
    is_long: bool = False
    is_new: bool = True

    def begins_with(self, span: FirstSpan) -> None:
        """Where the range begins, which is a long one."""
        self.first_end, self.depth, self.is_long = span.end, span.depth, True
        self.is_new = False


class PageSpans:
    """The spans of one page: ask for `wanted` keys from `start` to `end`, and say what came by
    `heard`, until it is `over`. start_after: the last key of the page before; None: this is the
    first. limit: of keys, at least 1; one more may come. short: see SHORT."""

    def __init__(
        self,
        prefix: bytes,
        start_after: bytes | None,
        limit: int,
        memory: RangeMemory,
        *,
        short: int = SHORT,
    ) -> None:
        self._prefix = prefix
        self._last = prefix_end(prefix)
        self._limit = limit
        self._memory = memory
        self._is_first = start_after is None
        self._depth = 0  # of the span; 0: it has none
        self._empty = self._found = 0
        self.over = self.more = False
        self.start = prefix or b"\x00"
        if start_after is not None:
            self.start = max(self.start, start_after + b"\x00")
        self.end = self._last
        if memory.count <= short and not memory.is_long:
            return
        if start_after is None:
            self.end = memory.first_end or self._last
        else:
            self._span(start_after, memory.depth or len(start_after))

    @property
    def wanted(self) -> int:
        """How many keys to ask for: one more than the page has, which says that there are more."""
        return self._limit + 1 - self._found

    def heard(self, keys: int, count: int, last_key: bytes) -> None:
        """keys: that came; count: that are in the span; last_key: of those that came."""
        self._found += keys
        self._memory.is_new = False
        if self.end == self._last:
            self.over, self.more = True, self._found > self._limit or count > keys
            if self._is_first and self.start == (self._prefix or b"\x00"):
                self._memory.count, self._memory.is_long = count, False
                self._memory.first_end = last_key + b"\x00" if self.more else b""
            elif not self._memory.count:
                self._memory.count = count
        elif self._found > self._limit:
            self.over = self.more = True
            if self._depth:
                self._memory.depth = self._depth + (count > MANY * self._limit)
        else:
            self._go_on(keys, count)

    def _go_on(self, keys: int, count: int) -> None:
        """The span behind this one: a sibling; where there is none, of those one byte shorter."""
        depth, place = self._depth, self.end
        closed = len(place) < depth
        self._empty = 0 if keys else self._empty + 1
        if not depth:  # behind the first page of another time
            depth = self._memory.depth or len(place) - 1
        elif closed:
            depth = len(place)
        elif not keys:
            depth -= 1
        elif count < self._limit // FEW:
            depth -= 1
            self._memory.depth = max(1, depth)
        self.start = place
        if self._empty >= EMPTY_SPANS and not self._memory.is_long:
            self._depth, self.end = 0, self._last
        else:
            self._span(place, depth)

    def _span(self, place: bytes, depth: int) -> None:
        """Ends behind all keys that share the first bytes of `place`."""
        self._depth = min(depth, len(place))
        end = prefix_end(place[: self._depth])
        within = self._depth > len(self._prefix) and end.startswith(self._prefix)
        if not within:
            self._depth = 0
        self.end = end if within else self._last
