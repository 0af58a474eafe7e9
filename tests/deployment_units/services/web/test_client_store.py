"""What the client knows of conversations, as Node.js runs it: ids are of whoever brings them."""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import pytest

CLIENT = files("deployment_units.services.web").joinpath("client")
SCRIPT = """
import { readFileSync } from "node:fs";
import { Store, rootKey } from "./store.js";
import { pressesOf } from "./views.js";
const store = new Store("anna");
for (const one of JSON.parse(readFileSync(0, "utf8"))) {
  store.addMessage({ ...one, conversation: "c" });
}
const conversation = store.of("c");
const shown = store.shown(conversation);
console.log(JSON.stringify({
  texts: shown.map(({ now }) => now.content.text),
  presses: shown.map(({ root }) => pressesOf(conversation, root).map((one) => one.state)),
}));
"""


NAMES = """
import { readFileSync } from "node:fs";
const kept = new Map();
globalThis.localStorage = {
  getItem: (key) => kept.get(key) ?? null,
  setItem: (key, value) => kept.set(key, value),
  removeItem: (key) => kept.delete(key),
};
const { addressOf, forgetNames, learnName, nameBook, shortName } = await import("./store.js");
nameBook("anna of talk");
learnName("ben", "@ben", "Ben");
const before = [shortName("ben"), kept.size];
nameBook("anna of talk"); // the page is opened again
before.push(addressOf("ben"));
forgetNames();
learnName("carla", "@carla", "Carla"); // heard too late
console.log(JSON.stringify({ before, after: [shortName("ben"), shortName("carla"), kept.size] }));
"""


def shown(tmp_path: Path, *messages: dict[str, Any]) -> dict[str, Any]:
    """What is shown of these messages, and of the presses of each."""
    return said(tmp_path, SCRIPT, messages)


def said(tmp_path: Path, script: str, *given: Any) -> dict[str, Any]:
    """What a script prints that stands beside the client."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no Node.js here: apt-get install nodejs")
    with as_file(CLIENT) as client:
        shutil.copytree(client, tmp_path / "client")
    (tmp_path / "client/package.json").write_text('{"type": "module"}')
    (tmp_path / "client/try.js").write_text(script)
    ended = subprocess.run(
        [node, "try.js"], cwd=tmp_path / "client", input=json.dumps(*given), text=True,
        capture_output=True, check=True, timeout=60,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def message(position: int, id: str, sender: str, text: str, **more: Any) -> dict[str, Any]:
    content = {"text": text, "answers": more.pop("answers", "")}
    return {"id": id, "sender": sender, "position": str(position), "content": content, **more}


def test_a_member_who_uses_anothers_id_takes_no_message_away(tmp_path: Path) -> None:
    found = shown(
        tmp_path,
        message(1, "one", "ben", "from Ben"),
        message(2, "one", "mallory", "from Mallory"),
        message(3, "two", "mallory", "instead of Ben's", replaces="one", revision=2),
        message(4, "two", "ben", "from Ben, better", replaces="one", revision=2),
    )
    assert found["texts"] == ["from Ben, better", "instead of Ben's"]


def test_of_a_card_whose_first_revision_is_too_old_the_last_one_is_shown(tmp_path: Path) -> None:
    waits = [{"id": "p", "state": "PRESS_STATE_WAITING", "pressTime": "2026-01-01T00:00:00Z"}]
    card = message(7, "nine", "roastery", "a card", replaces="one", revision=9, presses=waits)
    said = message(8, "ten", "mallory", "done!", answers="p")
    assert shown(tmp_path, card, said)["presses"] == [["PRESS_STATE_WAITING"], []]
    said["sender"] = "roastery"
    (tmp_path / "again").mkdir()
    assert shown(tmp_path / "again", card, said)["presses"] == [["PRESS_STATE_DONE"], []]


def test_who_signs_out_leaves_no_names_in_the_browser(tmp_path: Path) -> None:
    found = said(tmp_path, NAMES, None)
    assert found == {"before": ["Ben", 1, "@ben"], "after": ["ben", "carla", 0]}
