"""DKIM signatures of a mail (RFC 6376): what keys they need, and which hold; by PyPI `dkimpy`.

No names are looked up here: keys are given. A signature over a part of the body alone (`l=`) is not
counted, for anybody may have written the rest; nor are keys that are too short, or are too long to
be worth the time.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from email.parser import BytesHeaderParser

import dkim

from control_plane.identifiers.domains import read_domain
from control_plane.identifiers.identifier import Flaw
from deployment_units.services.mail_in.authentication_results import MethodResult

MOST_SIGNATURES = 3  # that are looked at, from the first on
MOST_KEY_BYTES = 1_000  # of a key as DNS has it: 4,096 bits have some 750
LEAST_KEY_BITS = 1_024
MOST_HEADER_BYTES = 64 << 10
_SELECTOR = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,126}[A-Za-z0-9])?\Z")
_SPACE = re.compile(r"\s+")
_HEADERS = BytesHeaderParser()
_quiet = logging.Logger("signatures", logging.CRITICAL)  # dkimpy writes down what mails say


def key_names(content: bytes) -> tuple[str, ...]:
    """Under which names DNS has the keys of a mail's signatures, each once; of what is none,
    nothing. Cheap: of the first header bytes alone."""
    found: dict[str, None] = {}
    for tags in _signatures(content):
        if (name := _key_name(tags)) is not None:
            found[name] = None
    return tuple(found)


def check_signatures(content: bytes, keys: Mapping[str, bytes]) -> tuple[MethodResult, ...]:
    """What is found out of each signature. keys: by their names in DNS; those that are not there
    have no answer, and their signatures neither."""
    found: list[MethodResult] = []
    checked = dkim.DKIM(content, logger=_quiet, minkey=LEAST_KEY_BITS)
    for number, tags in enumerate(_signatures(content)):
        name = _key_name(tags)
        if name is None:
            continue
        result = "temperror" if name not in keys else _result(checked, number, tags, keys[name])
        domain = tags["d"].lower()
        found.append(MethodResult(method="dkim", result=result, properties={"header.d": domain}))
    return tuple(found)


def _result(checked: dkim.DKIM, number: int, tags: Mapping[str, str], key: bytes) -> str:
    if not key or len(key) > MOST_KEY_BYTES:
        return "permerror"
    if "l" in tags:
        return "policy"
    try:
        holds = checked.verify(idx=number, dnsfunc=lambda name, timeout=0: key)
    except dkim.ValidationError:
        return "fail"
    except Exception:  # noqa: BLE001  # what it raises of input is not bounded by its documentation
        return "permerror"
    return "pass" if holds else "fail"


def _signatures(content: bytes) -> list[dict[str, str]]:
    """The tags of the first ones, without spaces."""
    end = content.find(b"\r\n\r\n", 0, MOST_HEADER_BYTES)
    header = content[: MOST_HEADER_BYTES if end < 0 else end]
    if b"dkim-signature" not in header.lower():
        return []
    fields = _HEADERS.parsebytes(header).get_all("DKIM-Signature") or []
    return [_tags(str(one)) for one in fields[:MOST_SIGNATURES]]


def _tags(field: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in field.split(";"):
        name, _, value = part.partition("=")
        found.setdefault(name.strip(), _SPACE.sub("", value))
    return found


def _key_name(tags: Mapping[str, str]) -> str | None:
    domain, selector = tags.get("d", ""), tags.get("s", "")
    read = read_domain(domain)
    if isinstance(read, Flaw) or not _SELECTOR.match(selector):
        return None
    name = f"{selector}._domainkey.{read.normal}".lower()
    return name if len(name) <= 253 else None
