"""Bytes of a mail as text, whatever charset they are said to be in. Pure.

Known charsets alone, by the names that mail programs give them, read as browsers read them: what
is called latin-1 or ASCII is Windows-1252 (WHATWG Encoding, 4.2). Where none is named, or what
is named does not fit: UTF-8 if it is that, else Windows-1252. So bytes are never lost, and no
codec is used that is no charset.
"""

from __future__ import annotations

import re

_CODECS = {
    "utf8": "utf-8", "unicode11utf8": "utf-8",
    "usascii": "cp1252", "ascii": "cp1252", "iso88591": "cp1252", "latin1": "cp1252",
    "ansix341968": "cp1252", "windows1252": "cp1252", "cp1252": "cp1252",
    "iso88599": "cp1254", "latin5": "cp1254", "iso885911": "cp874", "tis620": "cp874",
    "gb2312": "gb18030", "gbk": "gb18030", "gb18030": "gb18030", "xgbk": "gb18030",
    "big5": "big5hkscs", "big5hkscs": "big5hkscs", "shiftjis": "cp932", "sjis": "cp932",
    "xsjis": "cp932", "windows31j": "cp932", "eucjp": "euc_jp", "iso2022jp": "iso2022_jp_ext",
    "euckr": "cp949", "ksc56011987": "cp949", "ksc5601": "cp949", "cp949": "cp949",
    "iso2022kr": "iso2022_kr", "koi8r": "koi8_r", "koi8u": "koi8_u", "macintosh": "mac_roman",
    "windows874": "cp874", "utf16": "utf-16", "utf16le": "utf-16-le", "utf16be": "utf-16-be",
    **{f"iso8859{part}": f"iso8859_{part}" for part in (2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16)},
    **{f"windows{page}": f"cp{page}" for page in range(1250, 1259) if page != 1252},
    **{f"cp{page}": f"cp{page}" for page in (866, *range(1250, 1259)) if page != 1252},
}  # fmt: skip
_NO_NAME = re.compile(r"[^a-z0-9]")
_MOST_NAME = 40


def text_of(content: bytes, charset: str | None) -> str:
    """What the bytes say. charset: as a mail names it, None where it names none."""
    name = _NO_NAME.sub("", (charset or "")[:_MOST_NAME].lower())
    codec = _CODECS.get(name)
    for one in (codec, "utf-8"):
        if one is None or (one == "cp1252" and not content.isascii()):
            continue  # UTF-8 that is called latin-1 is commoner than latin-1 that looks like it
        try:
            return content.decode(one)
        except UnicodeDecodeError:
            continue
    return content.decode(codec or "cp1252", "replace")
