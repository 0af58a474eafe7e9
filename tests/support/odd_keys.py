"""Keys that somebody wrote past Homeport: below one of its prefixes, and none of its names."""

from __future__ import annotations

from control_plane.store.port import Put, Store, Txn

NAMES = {
    "no-utf-8": b"\xff\xfe",
    "cut-within-a-character": "ü".encode()[:1],
    "no-utf-8-behind-a-name": b"near/\xff",
    "no-utf-8-between-names": b"near/\xff/alice",
    "nothing": b"",
    "a-slash-alone": b"/",
    "an-overlong-encoding": b"\xc0\xaf",
}


async def write_odd_keys(store: Store, prefix: bytes, value: bytes = b"1") -> list[bytes]:
    """All of them below the prefix; which."""
    keys = [prefix + name for name in NAMES.values()]
    await store.commit(Txn(then=[Put(key, value) for key in keys]))
    return keys
