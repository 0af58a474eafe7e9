"""Which of two media types a request would rather have (RFC 9110, 12.5.1). Pure."""

from __future__ import annotations

MOST = 32  # ranges of an Accept header that are looked at


def prefers(accept: str, wanted: str, usual: str) -> bool:
    """Whether `wanted` is accepted with a higher weight than `usual`, which is had otherwise.

    >>> prefers("text/vcard, */*;q=0.1", "text/vcard", "text/html")
    True
    >>> prefers("*/*", "text/vcard", "text/html")
    False
    """
    ranges = [_range(one) for one in accept.split(",", MOST)[:MOST]]
    return _weight(ranges, wanted) > _weight(ranges, usual)


def _range(text: str) -> tuple[str, float]:
    """A media range and its weight; what cannot be read weighs nothing."""
    name, *parameters = [part.strip().lower() for part in text.split(";")]
    for one in parameters:
        key, _, value = one.partition("=")
        if key.strip() == "q":
            try:
                return name, min(max(float(value), 0.0), 1.0)
            except ValueError:
                return name, 0.0
    return name, 1.0


def _weight(ranges: list[tuple[str, float]], media_type: str) -> float:
    """That of the range that says it most exactly."""
    for fits in (media_type, f"{media_type.partition('/')[0]}/*", "*/*"):
        for name, weight in ranges:
            if name == fits:
                return weight
    return 0.0
