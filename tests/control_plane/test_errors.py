"""Errors: one that many callers get, with a delay for each."""

from __future__ import annotations

from control_plane.errors import Unavailable


class AwayMember(Unavailable):
    """Made from something else than its message."""

    reason = "AWAY_MEMBER"

    def __init__(self, member: str, *, tries: int) -> None:
        super().__init__(f"{member} is away, tried {tries} times; try again")
        self.member = member


def test_an_error_of_any_class_is_the_same_but_for_the_delay():
    error = AwayMember("etcd-1", tries=3)
    later = error.with_retry_after(7.5)
    assert type(later) is AwayMember
    assert (later.message, later.member, later.args) == (error.message, "etcd-1", error.args)
    assert later.retry_after_s == 7.5
    assert error.retry_after_s == Unavailable.retry_after_s
