"""`homeport sharing` against a real server, as scripts see it: policies, consents, and what events
are shown by them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import run_here
from tests.support.data_sharing_server import SharingServer
from tests.support.submissions import SPEED, text, traffic

PURPOSE = "Be on time."
POLICIES = f"""
policies:
  - feed: {SPEED}
    subject: /road
    grants:
      - {{purpose: Be on time., tenant: [operators], fields: [/road, /speed_kmh]}}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharingServer]:
    with SharingServer(tmp_path_factory.mktemp("sharing")) as one:
        yield one


@pytest.fixture
def homeport(server: SharingServer) -> Callable[..., Any]:
    """Runs a command for a tenant of the test's own; what it printed as JSON."""
    tenant = f"t-{uuid.uuid4().hex[:12]}"

    def run(*arguments: str, code: int = 0, stdin: bytes = b"") -> Any:
        form = () if arguments[1] == "publish" else ("-o", "json")
        ran = run_here(
            *arguments, *form, stdin=stdin,
            HOMEPORT_DATA_SERVER=server.address, HOMEPORT_TENANT=tenant,
        )  # fmt: skip
        assert ran.code == code, ran.out + ran.err
        return ran.document if form and code == 0 else ran.err

    return run


def test_policies_and_consents_decide_what_is_shown(
    homeport: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "traffic.yaml").write_text(text(traffic()))
    homeport("apps", "submit", str(tmp_path / "traffic.yaml"))

    def publish(name: str) -> None:
        document = {
            "specversion": "1.0", "id": name, "source": "/t", "type": SPEED,
            "data": {"road": "A1", "speed_kmh": 40},
        }  # fmt: skip
        homeport("events", "publish", "-", stdin=json.dumps(document).encode() + b"\n")

    def explained(name: str) -> dict[str, Any]:
        found: dict[str, Any] = homeport("decisions", "explain", f"/t#{name}", "--purpose", PURPOSE)
        return found

    file = tmp_path / "policies.yaml"
    file.write_text(POLICIES)
    assert homeport("sharing", "apply", str(file), "--dry-run")["dry_run"]
    assert homeport("sharing", "show")["policies"] == []
    homeport("sharing", "apply", str(file))
    (policy,) = homeport("sharing", "show")["policies"]
    assert policy["feed"] == SPEED
    file.write_text(POLICIES.replace("operators", "everybody"))
    homeport("sharing", "apply", str(file), code=2)

    publish("e1")
    assert (explained("e1")["data"], explained("e1")["data_hidden"]) == (None, True)
    given = homeport(
        "sharing", "consent", "A1", "--purpose", PURPOSE, "--field", "/speed_kmh",
        "--evidence", "form 3",
    )  # fmt: skip
    assert (given["subject"], given["evidence"]) == ("A1", "form 3")
    publish("e2")
    assert explained("e2")["data"] == {"speed_kmh": 40}
    assert explained("e1")["data"] is None  # of before
    (held,) = homeport("sharing", "consents", "--subject", "A1")["consents"]
    assert held["id"] == given["id"]

    assert "no consent" in homeport("sharing", "withdraw", "A2", given["id"], code=3)
    homeport("sharing", "withdraw", "A1", given["id"])
    publish("e3")
    assert explained("e3")["data"] is explained("e2")["data"] is None
    assert homeport("sharing", "consents")["consents"] == []
    assert len(homeport("sharing", "consents", "--withdrawn")["consents"]) == 1
    (read,) = homeport("sharing", "reads")["reads"]  # rules and forecasts there are none
    assert (read["reader"], read["field"], read["events"]) == ("tenant/operators", "/speed_kmh", 1)

    assert homeport("sharing", "remove", SPEED)["feed"] == SPEED
    assert explained("e3")["data"] == {"road": "A1", "speed_kmh": 40}
    homeport("sharing", "remove", SPEED, code=3)
