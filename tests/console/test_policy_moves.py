"""`homeport policy move`: from the plan of a simulation to the moves, and back again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support import servers
from tests.support.command_line import CommandLine, Ran

IN_IRELAND = "81.2.69.142"  # an address that the bundled database locates
ANYWHERE = "policy: 1\n"
AWAY = "policy: 1\nrules: [{name: overseas, forbid: {countries: [IE]}}]\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("policy-moves")
    with ExitStack() as stack:
        (made,) = servers.start(stack, folder, f"embedded:{folder}/store.db", 1)
        asyncio.run(servers.apply(made.address, servers.units(dublin=9, virginia=100)))
        yield made.address


def test_clients_move_by_the_plan_of_a_simulation_and_back_with_the_policy(
    server: str, cli: CommandLine, tmp_path: Path
) -> None:
    def run(*arguments: str, stdin: str = "") -> Ran:
        return cli(*arguments, "--server", server, stdin=stdin.encode())

    def clients() -> list[int]:
        return [one["clients"] for one in run("units", "list", "-o", "json").document["units"]]

    for name in ("anna", "ben", "carla"):
        assert run("provision", name, "--ip", IN_IRELAND).code == 0
    none = run("policy", "move", "--dry-run")
    assert none.code == 4
    assert "has no policy" in none.err
    assert run("policy", "apply", "-", stdin=ANYWHERE).code == 0
    assert "would move nobody" in run("policy", "move").err

    simulated = run("policy", "simulate", "-", "--population", "live", "-o", "json", stdin=AWAY)
    plan = tmp_path / "plan.json"
    plan.write_text(simulated.out)
    assert run("policy", "apply", "-", "--yes", stdin=AWAY).code == 0
    planned = run("policy", "move", "--dry-run", "-o", "json").document
    assert planned["moved"]["largest"] == simulated.document["moved"]["largest"]
    assert "3 clients would move by version 2" in run("policy", "move", "--dry-run").out
    stale = run("policy", "move", "--version", "1", "--plan", str(plan))
    assert stale.code == 1
    assert "version 2 of the policy of tenant default is in force, not 1" in stale.err
    moved = run("policy", "move", "--version", "2", "--plan", str(plan), "--wait", "-o", "json")
    assert moved.code == 0, moved.err
    assert moved.document | {"rate_per_s": 0, "started_at": 0, "ended_at": 0} == {
        "id": "policy-default-v2", "kind": "policy", "state": "done", "unit": None,
        "tenant": "default", "policy_version": 2, "rate_per_s": 0, "total": 3, "moved": 3,
        "kept": 0, "max_moves": None, "started_at": 0, "ended_at": 0, "message": None,
    }  # fmt: skip
    assert clients() == [0, 3]

    assert "3 clients would move back" in run("policy", "move", "--back", "2", "--dry-run").out
    rolled = run("policy", "rollback", "--move-back")
    assert rolled.code == 0, rolled.err
    assert "job moveback-default-v2 moves 3 clients back" in rolled.err
    again = run("policy", "move", "--back", "2", "--wait", "-o", "json")
    while again.code == 1 and "is under way" in again.err:  # that of the rollback
        again = run("policy", "move", "--back", "2", "--wait", "-o", "json")
    assert again.code == 0, again.err
    assert clients() == [3, 0]
    jobs = run("moves", "list", "--all", "-o", "json").document["jobs"]
    assert {one["id"] for one in jobs} == {"policy-default-v2", "moveback-default-v2"}
    audited = run("audit", "list", "-o", "json").out
    assert json.dumps("PolicyService.MoveByPolicy") in audited or "MoveByPolicy" in audited


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ("{", "is no plan"),
        ('{"moved": {"ways": 1, "largest": [{"from": "dublin"}]}}', "is no plan"),
        ('{"moved": {"ways": 0, "largest": []}}', "nobody moves"),
        (
            '{"moved": {"ways": 9, "largest": [{"from": "a", "to": "b", "clients": 1}]}}',
            "has 1 of 9 ways",
        ),
    ],
)
def test_what_is_no_plan_is_said(cli: CommandLine, tmp_path: Path, plan: str, said: str) -> None:
    file = tmp_path / "plan.json"
    file.write_text(plan)
    ran = cli("policy", "move", "--plan", str(file))
    assert ran.code in {1, 2}
    assert said in ran.err
