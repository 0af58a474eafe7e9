"""HomeState: what is known of one client's home, and which of two observations counts.

Observations come from reads and from the feed, and one may overtake the other. Each is true as of a
revision of the store, and the later revision wins, so it does not matter in which order they
arrive. Pure.
"""

from __future__ import annotations

from typing import NamedTuple


class HomeState(NamedTuple):
    """A client's home as of a revision. Epochs begin anew after a release, revisions never do:
    they tell one life of a client from the next."""

    as_of: int  # the revision at which this is known to be true
    since: int  # the revision that made it so; for no home: as of which none was found first
    epoch: int = 0  # 0: it has no home
    unit: str = ""
    at_ms: int = 0  # Unix time of the assignment, ms
    cause: str = ""  # of a move, where the feed said so
    first_ms: int = 0  # as AssignmentRecord has it

    @property
    def homeless(self) -> bool:
        """Whether the client has no home."""
        return not self.epoch


def later(known: HomeState | None, observed: HomeState) -> HomeState:
    """What counts once both are known."""
    if known is None:
        return observed
    if observed.as_of < known.as_of:
        return known
    if observed.since == known.since or (observed.homeless and known.homeless):
        # The same again, as of later; a read does not know the cause that the feed has.
        return known._replace(as_of=observed.as_of, cause=known.cause or observed.cause)
    if observed.as_of == known.as_of:
        return known  # a release reported twice in one transaction, once with its cause
    return observed


def is_news(home: HomeState, known_epoch: int, revision: int) -> bool:
    """Whether it must be sent to somebody who last saw `known_epoch` (0: nothing), as of
    `revision` (0: unknown)."""
    if home.homeless or home.epoch != known_epoch:
        return True
    return bool(revision) and home.since > revision
