"""The default alphabet of text messages: 3GPP TS 23.038, 6.2.1, with its extension table, 6.2.1.1.

A character of the extension table takes two septets: an escape and itself. The national tables
of annex A are not used: a telephone that does not know them shows other letters, without a word.
"""

from __future__ import annotations

from typing import Final

# By code, row by row of the specification's table read downwards: 0x00 to 0x7F. 0x1B escapes.
_DEFAULT = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = {0x0A: "\f", 0x14: "^", 0x28: "{", 0x29: "}", 0x2F: "\\", 0x3C: "[", 0x3D: "~",
              0x3E: "]", 0x40: "|", 0x65: "€"}  # fmt: skip
ESCAPE: Final = 0x1B

# character → its septets
SEPTETS: Final[dict[str, tuple[int, ...]]] = {
    **{one: (code,) for code, one in enumerate(_DEFAULT) if code != ESCAPE},
    **{one: (ESCAPE, code) for code, one in _EXTENSION.items()},
}

# What people type without meaning to leave the alphabet, and what looks nearly like it.
PLAIN: Final[dict[int, str]] = str.maketrans(
    {
        "‘": "'", "’": "'", "‚": "'", "‛": "'", "“": '"', "”": '"', "„": '"', "‟": '"',
        "′": "'", "″": '"', "«": '"', "»": '"', "‹": "'", "›": "'", "`": "'", "´": "'",
        "‐": "-", "‑": "-", "‒": "-", "–": "-", "—": "-", "―": "-", "−": "-",
        "…": "...", "•": "-", "·": ".", "\u00a0": " ", "\u2009": " ", "\u202f": " ", "\t": " ",
        "\u200b": "", "\ufeff": "", "\u00ad": "", "\u2028": "\n", "\u2029": "\n",
    }
)  # fmt: skip
