"""format=flowed (RFC 3676): lines that were broken for width, joined again. Pure."""

from __future__ import annotations


def unflowed(text: str, *, delsp: bool = False) -> str:
    """Each paragraph in one line, with its quotation marks before it (section 4.5). delsp: the
    space before each soft line break goes as well."""
    lines: list[str] = []
    held: list[str] = []
    held_depth = 0
    for line in text.split("\n"):
        bare = line.lstrip(">")
        depth = len(line) - len(bare)
        bare = bare[1:] if bare.startswith(" ") else bare  # space-stuffing (4.4)
        if held and (depth != held_depth or bare in ("", "-- ")):
            lines.append(_quoted("".join(held).rstrip(), held_depth))
            held = []
        if bare != "-- " and bare.endswith(" "):
            held.append(bare[:-1] if delsp else bare)
            held_depth = depth
            continue
        lines.append(_quoted("".join([*held, bare]), depth))
        held = []
    if held:
        lines.append(_quoted("".join(held).rstrip(), held_depth))
    return "\n".join(lines)


def _quoted(text: str, depth: int) -> str:
    return f"{'>' * depth} {text}" if depth else text
