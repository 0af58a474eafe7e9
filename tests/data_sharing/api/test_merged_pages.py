"""Lists over several partitions: every entry is on one page, newest first within it."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.errors import InvalidInput
from data_sharing.api.merged_pages import merged, pages_asked_for
from data_sharing.api.partition_methods import METHODS, Listing
from homeport.api.datasharing.v1 import decision_pb2 as pb

METHOD = METHODS["/homeport.api.datasharing.v1.DecisionService/ListDecisions"]
assert METHOD.listing is not None
LISTING: Listing = METHOD.listing


def page_of(kept: list[int], request: pb.ListDecisionsRequest) -> pb.ListDecisionsResponse:
    """As one partition answers: times, newest first; the token is how many were told."""
    start = int(request.page_token or 0)
    size = request.page_size or 100
    response = pb.ListDecisionsResponse()
    for time in sorted(kept, reverse=True)[start : start + size]:
        response.decisions.add().decide_time.seconds = time
    if start + size < len(kept):
        response.next_page_token = str(start + size)
    return response


@given(
    partitions=st.lists(st.lists(st.integers(1, 1_000), max_size=12), min_size=2, max_size=5),
    size=st.integers(0, 20),
)
def test_each_entry_is_told_once(partitions: list[list[int]], size: int) -> None:
    request = pb.ListDecisionsRequest(page_size=size)
    found: list[int] = []
    for _ in range(100):
        asked = pages_asked_for(request, len(partitions))
        answers = {place: page_of(partitions[place], one) for place, one in asked.items()}
        page = merged(pb.ListDecisionsResponse, LISTING, request, answers, len(partitions))
        times = [one.decide_time.seconds for one in page.decisions]
        assert times == sorted(times, reverse=True)
        assert len(times) <= (size or 100)
        found += times
        request.page_token = page.next_page_token
        if not request.page_token:
            break
    assert sorted(found) == sorted(time for kept in partitions for time in kept)


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("x", id="no-base64"),
        pytest.param(base64.urlsafe_b64encode(b"[1]").decode(), id="numbers"),
        pytest.param(base64.urlsafe_b64encode(b'["1"]').decode(), id="of-fewer-partitions"),
        pytest.param(base64.urlsafe_b64encode(b"[null,null]").decode(), id="of-a-list-at-its-end"),
        pytest.param("A" * 10_000, id="too-long"),
        pytest.param("ü", id="not-ascii"),
    ],
)
def test_a_token_that_was_not_given_here_is_refused(token: str) -> None:
    with pytest.raises(InvalidInput, match="page_token"):
        pages_asked_for(pb.ListDecisionsRequest(page_token=token), 2)
