"""Numbers for people: every digit that they have, and never an exponent."""

from __future__ import annotations

from decimal import Decimal


def exact(value: float, *, grouped: bool = False) -> str:
    """The shortest decimal that is this double. grouped: with commas between thousands, where
    nobody has to type it again.

    >>> exact(2.5e6), exact(2.5e6, grouped=True), exact(0.01), exact(139.691711)
    ('2500000', '2,500,000', '0.01', '139.691711')
    """
    text = format(Decimal(repr(float(value))), ",f" if grouped else "f")
    return text.rstrip("0").removesuffix(".") if "." in text else text
