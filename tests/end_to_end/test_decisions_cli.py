"""`homeport decisions`, `dlq` and `platforms` against a real server and a real platform: why it
fired and why not, what failed and what an operator can do about it."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from console.cli.main import main
from tests.support.command_line import Ran
from tests.support.data_sharing_server import SharingServer
from tests.support.platforms import PlatformProcess
from tests.support.submissions import COFFEE, SPEED, coffee, text, traffic

WAIT_S = 60.0
RULES = f"""
rules:
  - rule: slow
    watch: {{t: {{feed: {SPEED}}}}}
    when: t.data.speed_kmh < 30 && t.data.level == "jam"
    do: [{{invoke: {{application: coffee, action: brew, config: {{cups: 2}}, deadline: 1h}}}}]
  - rule: too-many
    watch: {{t: {{feed: {SPEED}}}}}
    when: t.data.speed_kmh > 300
    do:
      - invoke: {{application: coffee, action: brew, config: {{cups: int(t.data.speed_kmh * 0.0)}}}}
  - rule: poison
    watch: {{t: {{feed: {SPEED}}}}}
    when: has(t.data.note) && int(t.data.note) > 0
    park_after: 2
    do: [{{invoke: {{application: coffee, action: brew}}}}]
  - rule: third
    watch: {{t: {{feed: {SPEED}}}}}
    windows: {{w: {{over: 1h}}}}
    when: window.w.count >= 3
    do: [{{invoke: {{application: coffee, action: brew, config: {{cups: 3}}, deadline: 1h}}}}]
    cooldown: 1d
"""


class House:
    """A server with a tenant of the test's own, and commands run against it."""

    def __init__(self, run: Callable[..., Ran], server: SharingServer, folder: Path) -> None:
        self.run, self.server, self.folder = run, server, folder
        self.tenant = ""
        self.platform: PlatformProcess | None = None
        self._published = 0

    def told(self, *arguments: str) -> Any:
        ran = self.run(*arguments, "-o", "json")
        assert ran.code == 0, ran.err
        return ran.document

    def submit(self, manifest: dict[str, Any], artifact: bytes = b"") -> None:
        file = self.folder / "manifest.json"
        file.write_text(text(manifest))
        words = ["apps", "submit", str(file)]
        if artifact:
            (self.folder / "artifact").write_bytes(artifact)
            words += ["--artifact", str(self.folder / "artifact")]
        self.told(*words)

    def publish(self, **data: Any) -> int:
        """The event's position."""
        self._published += 1
        given = {"road": "A1", "speed_kmh": 100, **data}
        ran = self.run(
            "events", "publish", "--type", SPEED, "--source", "/city", "--id",
            f"e{self._published}", "--data", json.dumps(given),
        )  # fmt: skip
        assert ran.code == 0, ran.err
        return int(ran.lines[0]["position"])

    def host(self) -> None:
        port = int(self.server.address.rpartition(":")[2])
        self.platform = PlatformProcess(self.folder, port, f"--tenant={self.tenant}")
        self.until(lambda: self.platform.ready_file.exists())

    def until(self, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + WAIT_S
        while not holds():
            assert time.monotonic() < end, self.server.log()
            time.sleep(0.05)

    def instructions(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.told("decisions", "instructions")["instructions"]
        return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharingServer]:
    with SharingServer(tmp_path_factory.mktemp("decisions")) as one:
        yield one


@pytest.fixture
def house(server, tmp_path, monkeypatch, capsys) -> Iterator[House]:
    tenant = f"t-{uuid.uuid4().hex[:12]}"
    monkeypatch.setenv("HOMEPORT_DATA_SERVER", server.address)
    monkeypatch.setenv("HOMEPORT_TENANT", tenant)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    def run(*arguments: str) -> Ran:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        told = capsys.readouterr()
        return Ran(code=int(ended.value.code or 0), out=told.out, err=told.err)

    made = House(run, server, tmp_path)
    made.tenant = tenant
    made.submit(traffic())
    yield made
    if made.platform is not None and made.platform.process.poll() is None:
        made.platform.kill()


def rules(house: House, document: str = RULES) -> None:
    file = house.folder / "rules.yaml"
    file.write_text(document)
    house.told("rules", "apply", str(file))


def of_rule(answer: dict[str, Any], name: str) -> dict[str, Any]:
    (one,) = [one for one in answer["rules"] if one["rule"] == name]
    return one


def test_a_decision_is_explained_clause_by_clause_with_its_outcome(house: House) -> None:
    house.submit(coffee(), COFFEE)
    rules(house)
    house.host()
    position = house.publish(speed_kmh=12, level="jam")
    house.until(lambda: [one["state"] for one in house.instructions()] == ["done"])
    answer = house.told("decisions", "explain", str(position))
    slow = of_rule(answer, "slow")
    assert (slow["verdict"], slow["asked"]) == ("fired", True)
    (clause,) = slow["clauses"]
    assert [(part["text"], part["outcome"]) for part in clause["parts"]] == [
        ("t.data.speed_kmh < 30", "true"),
        ('t.data.level == "jam"', "true"),
    ]
    (instruction,) = answer["instructions"]
    assert instruction["outcome"]["output"]["cups"] == 2
    assert instruction["causes"] == [
        {"source": "/city", "id": "e1", "type": None, "position": position}
    ]
    (decision,) = house.told("decisions", "list", "--rule", "slow")["decisions"]
    again = house.told("decisions", "explain", decision["id"])
    assert of_rule(again, "slow") == slow
    (platform,) = house.told("platforms", "list")["platforms"]
    assert (platform["platform"], platform["outcomes"]) == ("hub", 1)
    flow = house.told("decisions", "ancestry", f"/city#{answer['event']['id']}")
    kinds = [one["kind"] for one in flow["nodes"]]
    assert kinds == ["event", "decision", "instruction", "event"]
    assert {one["correlation"] for one in flow["nodes"]} == {answer["event"]["id"]}
    picture = house.folder / "flow.svg"
    shown = house.run("decisions", "ancestry", instruction["id"], "--svg", str(picture))
    assert "because of" in shown.out
    assert instruction["id"] in picture.read_text()


def test_why_nothing_fired_is_explained_too(house: House) -> None:
    rules(house)
    house.publish(speed_kmh=90)
    answer = house.told("decisions", "explain", "/city#e1")
    assert answer["decisions"] == answer["instructions"] == []
    passed_over = of_rule(answer, "slow")
    assert (passed_over["verdict"], passed_over["asked"]) == ("not-matched", False)
    assert passed_over["clauses"][0]["read"]["t.data.speed_kmh"] == 90
    waiting = of_rule(answer, "third")
    assert (waiting["verdict"], waiting["asked"]) == ("not-matched", True)
    assert waiting["clauses"][0]["read"] == {"window.w.count": 1}
    ran = house.run("decisions", "explain", "/city#e1")
    assert "window.w.count = 1" in ran.out


def test_what_does_not_exist_is_not_found(house: House) -> None:
    for words in (
        ("decisions", "explain", "c-none"),
        ("decisions", "explain", "99"),
        ("decisions", "ancestry", "c-none"),
        ("decisions", "approve", "i-none"),
        ("dlq", "show", "d-99999999"),
        ("dlq", "redrive", "junk"),
    ):
        ran = house.run(*words)
        assert (ran.code, ran.out) == (3, "")
        assert house.tenant in ran.err


def test_a_poison_rule_is_parked_and_its_events_can_be_redriven(house: House) -> None:
    rules(house)
    for _ in range(3):
        house.publish(note="poison")
    letters = house.told("dlq", "list")["dead_letters"]
    assert {one["rule"] for one in letters if one["kind"] == "event"} == {"poison"}
    reasons = [one["reason"].partition(":")[0] for one in letters[::-1] if one["rule"] == "poison"]
    assert reasons == ["error", "error", "parked"]
    third = [one for one in house.instructions() if one["rule"] == "third"]
    assert len(third) == 1  # its neighbour went on
    file = house.folder / "mended.yaml"
    file.write_text(RULES.replace("int(t.data.note) > 0", 't.data.note == "poison"'))
    house.told("rules", "apply", str(file))
    newest = next(one for one in letters if one["rule"] == "poison")
    redriven = house.told("dlq", "redrive", newest["id"])
    assert redriven["redriven"] is not None
    assert [one["rule"] for one in house.instructions()].count("poison") == 1
    assert house.told("dlq", "redrive", newest["id"]) == redriven  # once
    assert [one["rule"] for one in house.instructions()].count("poison") == 1


def test_what_is_parked_is_listed_and_run_again_by_hand(house: House) -> None:
    rules(house)
    for _ in range(2):
        house.publish(note="poison")
    house.publish(note="1")
    listed = house.told("rules", "list")["rules"]
    (poison,) = [one for one in listed if one["id"] == "poison"]
    assert (poison["parked"], poison["parked_whole"], poison["parked_keys"]) == (True, False, 1)
    assert poison["retry_time"] is not None
    shown = house.told("rules", "show", "poison")
    (scope,) = shown["parked_scopes"]
    assert (scope["key"], scope["producer"], scope["failures"]) == ("A1", "/city", 2)
    assert "parked: 1 key" in house.run("rules", "list").out
    assert "/city" in house.run("rules", "show", "poison", "-o", "table").out
    letters = house.told("dlq", "list")["dead_letters"]
    letter = next(one for one in letters if one["rule"] == "poison")
    assert "homeport rules retry poison --key A1 --source /city" in letter["reason"]
    again = house.told("dlq", "redrive", letter["id"])
    assert again["redriven"] is None, "still parked"
    answer = house.told("rules", "retry", "poison", "--key", "elsewhere")
    assert (answer["unparked"], len(answer["parked_scopes"])) == (0, 1)
    assert "nothing of that" in house.run("rules", "retry", "poison", "--source", "/x").out
    answer = house.told("rules", "retry", "poison", "--key", "A1", "--source", "/city")
    assert (answer["unparked"], answer["parked"], answer["parked_scopes"]) == (1, False, [])
    again = house.told("dlq", "redrive", letter["id"])
    assert again["redriven"] is not None
    assert [one["rule"] for one in house.instructions()].count("poison") == 1
    assert house.run("rules", "retry", "no-such-rule").code == 3


def test_a_configuration_that_breaks_the_schema_is_a_dead_letter_that_says_where(
    house: House,
) -> None:
    house.submit(coffee(), COFFEE)
    rules(house)
    house.publish(speed_kmh=310)
    (letter,) = house.told("dlq", "list")["dead_letters"]
    assert "input schema of coffee brew at /cups" in letter["reason"]
    assert letter["instruction"]["state"] == "dead"


def test_an_action_that_needs_approval_waits_for_it(house: House) -> None:
    house.submit(coffee(action_needs_approval=True), COFFEE)
    rules(house)
    house.host()
    house.publish(speed_kmh=12, level="jam")
    (waiting,) = house.told("decisions", "instructions", "--waiting")["instructions"]
    assert waiting["state"] == "awaiting-approval"
    house.told("decisions", "approve", waiting["id"])
    house.until(lambda: house.instructions()[0]["state"] == "done")
    house.publish(speed_kmh=13, level="jam")
    (second,) = house.told("decisions", "instructions", "--waiting")["instructions"]
    denied = house.told("decisions", "deny", second["id"], "--reason", "not today")
    assert (denied["state"], denied["reason"]) == ("dead", "denied: not today")
    (letter,) = house.told("dlq", "list")["dead_letters"]
    house.told("dlq", "redrive", letter["id"])
    assert house.instructions()[0]["state"] == "awaiting-approval"
    shown = house.told("approvals", "show", second["id"])
    assert shown["events"][0]["data"]["speed_kmh"] == 13
    path = f"http://{house.server.http}/v1/tenants/{house.tenant}/approvals"
    with urlopen(path, timeout=WAIT_S) as answered:
        newest = json.load(answered)["approvals"][0]
    assert newest["verdict"] == "APPROVAL_VERDICT_WAITING"
    with urlopen(Request(f"{path}/{second['id']}:approve", method="POST"), timeout=WAIT_S) as ended:
        done = json.load(ended)
    assert (done["verdict"], done["approver"]) == ("APPROVAL_VERDICT_APPROVED", "anyone")
    house.until(lambda: house.instructions()[0]["state"] == "done")


def test_a_new_version_is_rolled_out_paused_and_rolled_back(house: House) -> None:
    house.submit(coffee(), COFFEE)
    rules(house)
    changed = RULES.replace("cups: 2", "cups: 1").replace(
        "  - rule: too-many", "    rollout: {steps: [{shadow: true}]}\n  - rule: too-many"
    )
    rules(house, changed)
    house.publish(speed_kmh=12, level="jam")
    status = house.told("rules", "rollout", "status", "slow")
    assert (status["phase"], status["comparison"]["other"]) == ("progressing", 1)
    (listed,) = [one for one in house.told("rules", "list")["rules"] if one["id"] == "slow"]
    assert (listed["version"], listed["rollout"]["candidate_version"]) == (1, 2)
    assert house.told("rules", "rollout", "hold", "slow")["phase"] == "held"
    assert house.told("rules", "rollout", "promote", "slow")["phase"] == "promoted"
    assert house.told("rules", "pause", "slow")["pause"]["resuming"] is False
    house.publish(speed_kmh=13, level="jam")
    assert house.told("rules", "show", "slow")["pause"]["waiting_events"] == 1
    house.told("rules", "resume", "slow")
    house.until(lambda: house.told("rules", "show", "slow")["pause"] is None)
    assert house.told("rules", "rollback", "slow")["version"] == 3
    house.publish(speed_kmh=14, level="jam")
    slow = [one for one in house.instructions() if one["rule"] == "slow"]
    assert [one["configuration"]["cups"] for one in slow] == [2, 1, 2]


def test_an_application_that_lies_about_its_output_is_found_out(house: House) -> None:
    house.submit(coffee(), COFFEE)
    rules(house)
    house.host()
    # A later version says that it gives something else than it does with three cups.
    house.publish(speed_kmh=12, level="jam")
    house.until(lambda: house.instructions()[0]["state"] == "done")
    lying = coffee(
        version="1.1.0",
        action_output={
            "type": "object",
            "required": ["cups"],
            "properties": {"cups": {"type": "integer", "maximum": 2}},
        },
    )
    house.submit(lying, COFFEE)
    house.until(
        lambda: (
            "1.1.0"
            in [
                one["version"]
                for platform in house.told("platforms", "list")["platforms"]
                for one in platform["applications"]
            ]
        )
    )
    for _ in range(2):
        house.publish()
    house.until(lambda: house.instructions()[0]["state"] == "dead")
    found = house.instructions()[0]
    assert (found["version"], found["outcome"]["status"]) == ("1.1.0", "bad-output")
    assert "/cups" in found["reason"]
