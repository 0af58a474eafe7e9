"""Run with vobject on the path: reads vCards from stdin, a JSON list of texts, and writes what each
has, `[[name, value, types], ...]` in order, as JSON."""

import json
import sys

import vobject


def properties(text: str) -> list[list[object]]:
    (card,) = vobject.readComponents(text)
    return [
        [one.name, one.value, one.params.get("TYPE", [])]
        for one in card.getChildren()
        if isinstance(one.value, str)
    ]


json.dump([properties(one) for one in json.load(sys.stdin)], sys.stdout)
