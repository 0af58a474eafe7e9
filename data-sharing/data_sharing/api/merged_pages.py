"""Pages of a list over several partitions: a page holds a part of each, newest first within it, and
its token says how far each partition's list has come. Pure.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import msgspec

from control_plane.errors import InvalidInput
from data_sharing.api.pages import size_of
from data_sharing.api.partition_methods import Listing

MOST_TOKEN = 8_192
_encode = msgspec.json.encode
_tokens = msgspec.json.Decoder(list[str | None]).decode


def pages_asked_for(request: Any, count: int) -> dict[int, Any]:
    """What partitions that have more are asked for: all of them, where the page has room for one of
    each. Raises InvalidInput."""
    if not hasattr(request, "page_token"):
        return {place: _copy(request) for place in range(count)}
    tokens, most = _tokens_of(request, count), size_of(request.page_size)
    left = [(place, token) for place, token in enumerate(tokens) if token is not None][:most]
    size = most // len(left)
    asked = {}
    for place, token in left:
        one = _copy(request)
        one.page_token, one.page_size = token, size
        asked[place] = one
    return asked


def merged(
    response: Any, listing: Listing, request: Any, answers: Mapping[int, Any], count: int
) -> Any:
    """request: as it came; answers: by partition, of those that were asked."""
    found = response()
    items = [item for place in sorted(answers) for item in getattr(answers[place], listing.items)]
    getattr(found, listing.items).extend(sorted(items, key=listing.order))
    if hasattr(found, "next_page_token"):
        tokens = _tokens_of(request, count)
        for place, answer in answers.items():
            tokens[place] = answer.next_page_token or None
        if any(token is not None for token in tokens):
            found.next_page_token = base64.urlsafe_b64encode(_encode(tokens)).decode()
    return found


def _tokens_of(request: Any, count: int) -> list[str | None]:
    """By partition; None: it has no more."""
    return _read(request.page_token, count) if request.page_token else [""] * count


def _read(text: str, count: int) -> list[str | None]:
    wrong = InvalidInput("page_token", "page_token is none that was given here")
    if len(text) > MOST_TOKEN:
        raise wrong
    try:
        tokens = _tokens(base64.urlsafe_b64decode(text.encode("ascii")))
    except (ValueError, msgspec.DecodeError) as error:
        raise wrong from error
    if len(tokens) != count or all(token is None for token in tokens):
        raise wrong
    return tokens


def _copy(request: Any) -> Any:
    one = type(request)()
    one.CopyFrom(request)
    return one
