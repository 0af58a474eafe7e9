"""The page of a handle, for people: HTML that stands alone, with nothing to run. Pure.

Whatever somebody said of themselves is text in it. Addresses and numbers are links; what is not
proved says so.
"""

from __future__ import annotations

import base64
import hashlib
from html import escape
from urllib.parse import quote

from provisioner.directory.public_profiles import PublicProfile
from provisioner.directory.seen_profile import SeenIdentifier

STYLE = (
    "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:4rem auto;padding:0 1rem;"
    "color:#1a1a1a;background:#fff}h1{margin:0;overflow-wrap:anywhere}p.handle{margin:0;color:#555}"
    "ul{padding:0;list-style:none}li{overflow-wrap:anywhere}small{color:#555}"
    "@media(prefers-color-scheme:dark){body{color:#eee;background:#111}"
    "p.handle,small{color:#aaa}a{color:#9cf}}"
)
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""Content-Security-Policy of these pages: their own style, and nothing else."""
_LINKED = ("mailto:", "tel:", "sip:", "sips:", "xmpp:")


def profile_page(profile: PublicProfile, *, write_at: str) -> str:
    """write_at: where one writes to an account, with `{handle}` in it; empty: nowhere."""
    handle = f"@{profile.handle}"
    name = profile.seen.name or handle
    lines = [f"<h1>{escape(name)}</h1>"]
    if profile.seen.name:
        lines.append(f'<p class="handle">{escape(handle)}</p>')
    if write_at:
        href = write_at.replace("{handle}", quote(profile.handle, safe=""))
        lines.append(f'<p><a href="{escape(href)}">Write to {escape(handle)}</a></p>')
    if profile.seen.identifiers:
        lines += ["<ul>", *map(_item, profile.seen.identifiers), "</ul>"]
    card = f"/@{quote(profile.handle, safe='')}.vcf"
    lines.append(f'<p><a href="{escape(card)}" type="text/vcard">vCard</a></p>')
    return _document(name, lines)


def error_page(title: str, said: str) -> str:
    """A page that says why there is no other."""
    return _document(title, [f"<h1>{escape(title)}</h1>", f"<p>{escape(said)}</p>"])


def _item(one: SeenIdentifier) -> str:
    shown = escape(one.shown or one.uri)
    if one.uri.startswith(_LINKED):
        shown = f'<a href="{escape(one.uri)}">{shown}</a>'
    notes = [escape(one.label)] if one.label else []
    notes += [] if one.proved else ["not proved"]
    said = f" <small>{', '.join(notes)}</small>" if notes else ""
    return f"<li>{shown}{said}</li>"


def _document(title: str, lines: list[str]) -> str:
    body = "\n".join(lines)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )
