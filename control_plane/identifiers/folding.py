"""Case and width of text, character by character: what two spellings of one name may differ in.

Simple case folding (CaseFolding.txt, status C and S) maps one character to one, whatever stands
beside it: Σ, σ and ς are one, ß stays ß and is not ss. Full folding would make one mailbox of
`strasse` and `straße`, and lower-casing knows a ς at the end of a word alone.
"""

from __future__ import annotations

import unicodedata

# Full width and half width forms, and what is ordinary of each (EastAsianWidth F and H).
_WIDE = {
    code: unicodedata.normalize("NFKC", chr(code))
    for code in (*range(0xFF01, 0xFFEF), 0x3000)
    if unicodedata.decomposition(chr(code)).startswith(("<wide>", "<narrow>"))
}


def simple_fold(text: str) -> str:
    """The text with simple case folding, not normalised."""
    if text.isascii():
        return text.lower()
    return "".join([_folded(one) for one in text])


def _folded(character: str) -> str:
    folded = character.casefold()
    return folded if len(folded) == 1 else character.lower()


def fold(text: str) -> str:
    """The text in NFC, capitals and small letters the same (Unicode 3.13, D145, with simple
    folding). fold(fold(x)) == fold(x)."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", simple_fold(unicodedata.normalize("NFD", text)))


def ordinary_width(text: str) -> str:
    """The text with wide and narrow characters made ordinary (RFC 8264, 5.2.1)."""
    return text if text.isascii() else text.translate(_WIDE)
