"""In which order a line of text is seen: the Unicode Bidirectional Algorithm for one paragraph.

What is resolved here are the implicit levels (UAX #9, W1 to W7, N1, N2, I1, I2) and the reordering
(L2, L3, L4). Characters that set a direction explicitly have no place
in a name and are left out, and pairs of brackets (N0) count as other neutrals.
"""

from __future__ import annotations

import unicodedata

from control_plane.identifiers.unicode_tables import unicode_tables

_STRONG = frozenset({"L", "R", "AL"})
_RIGHT = frozenset({"R", "AL", "AN"})
_NEUTRAL = frozenset({"ON", "WS", "S", "B"})
# They set a direction, or are seen by nobody (X9 and the isolates).
_LEFT_OUT = frozenset({"BN", "LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})


def runs_right_to_left(text: str) -> bool:
    """Whether anything in it does; otherwise it is seen as it is stored."""
    return not text.isascii() and any(unicodedata.bidirectional(one) in _RIGHT for one in text)


def visual_order(text: str) -> str:
    """The characters from left to right as they are seen; the paragraph runs as its first strong
    character does (P2, P3). Marks stay behind their letters (L3), and brackets are seen
    the other way round (L4). The caller bounds the length; time grows with it."""
    text = "".join([one for one in text if unicodedata.bidirectional(one) not in _LEFT_OUT])
    classes = [unicodedata.bidirectional(one) or "L" for one in text]
    base = next((1 if one != "L" else 0 for one in classes if one in _STRONG), 0)
    levels = _levels(classes, base)
    clusters: list[tuple[str, int]] = []  # a letter with its marks, and their level
    mirrored = unicode_tables().mirrored
    for one, level in zip(text, levels, strict=True):
        if clusters and unicodedata.category(one) in ("Mn", "Me"):
            clusters[-1] = (clusters[-1][0] + one, clusters[-1][1])
        else:
            clusters.append((mirrored.get(one, one) if level % 2 else one, level))
    for lowest in range(max(levels, default=0), 0, -1):
        clusters = _reversed_runs(clusters, lowest)
    return "".join([cluster for cluster, _ in clusters])


def _reversed_runs(clusters: list[tuple[str, int]], lowest: int) -> list[tuple[str, int]]:
    """L2: every run of this level and above, the other way round."""
    result: list[tuple[str, int]] = []
    run: list[tuple[str, int]] = []
    for one in clusters:
        if one[1] >= lowest:
            run.append(one)
        else:
            result += reversed(run)
            run = []
            result.append(one)
    return [*result, *reversed(run)]


def _levels(classes: list[str], base: int) -> list[int]:
    types = _weak(classes, "R" if base else "L")
    types = _neutral(types, "R" if base else "L")
    levels = []
    for one in types:
        if base % 2 == 0:
            levels.append(base + {"L": 0, "R": 1}.get(one, 2))
        else:
            levels.append(base + (0 if one == "R" else 1))
    return levels


def _weak(classes: list[str], start: str) -> list[str]:
    """W1 to W7. start: the direction before the first character."""
    types: list[str] = []
    strong = start
    for one in classes:
        kind = (types[-1] if types else start) if one == "NSM" else one  # W1
        if kind in _STRONG:
            strong = kind
        elif kind == "EN" and strong == "AL":
            kind = "AN"  # W2
        types.append(kind)
    types = ["R" if one == "AL" else one for one in types]  # W3
    for place in range(1, len(types) - 1):  # W4
        before, here, after = types[place - 1 : place + 2]
        if before == after and (
            (before == "EN" and here in ("ES", "CS")) or (before == "AN" and here == "CS")
        ):
            types[place] = before
    types = _with_terminators(types)
    types = ["ON" if one in ("ES", "ET", "CS") else one for one in types]  # W6
    strong = start
    for place, one in enumerate(types):  # W7
        if one in ("L", "R"):
            strong = one
        elif one == "EN" and strong == "L":
            types[place] = "L"
    return types


def _with_terminators(types: list[str]) -> list[str]:
    """W5: terminators beside a European number belong to it."""
    result = list(types)
    for order in (range(len(types)), range(len(types) - 1, -1, -1)):
        beside = False
        for place in order:
            beside = result[place] == "EN" or (beside and result[place] == "ET")
            if beside:
                result[place] = "EN"
    return result


def _neutral(types: list[str], start: str) -> list[str]:
    """N1 and N2. Numbers count as right to left; both ends run as the paragraph does."""
    result = list(types)
    place = 0
    while place < len(types):
        if types[place] not in _NEUTRAL:
            place += 1
            continue
        end = place
        while end < len(types) and types[end] in _NEUTRAL:
            end += 1
        before = _side(types[place - 1]) if place else start
        after = _side(types[end]) if end < len(types) else start
        result[place:end] = [before if before == after else start] * (end - place)
        place = end
    return result


def _side(kind: str) -> str:
    return "L" if kind == "L" else "R"
