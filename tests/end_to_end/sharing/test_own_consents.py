"""A user's own consents on a real server, by every door: the library, the command, HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

import homeport
from control_plane.auth.tokens import digest_of
from tests.support.command_line import run_here
from tests.support.data_sharing_server import SharingServer
from tests.support.user_tickets import TENANT, Fleet

PURPOSE = "Be on time."
ADMIN = "admin-of-all"
TOKENS = f"""
[[token]]
name = "ann"
sha256 = "{digest_of(ADMIN)}"
roles = ["admin"]
"""


class Site:
    """A server that knows a fleet's keys, and whoever asks it."""

    def __init__(self, folder: Path, server: SharingServer, fleet: Fleet) -> None:
        self.folder, self.server, self.fleet = folder, server, fleet

    def own(self, client: str, **more: Any) -> homeport.OwnConsents:
        return homeport.OwnConsents(self.server.address, self.fleet.ticket(client, **more))

    def command(self, client: str, *words: str, code: int = 0) -> Any:
        file = self.fleet.write_ticket(self.folder / client, client)
        ran = run_here(
            "consents", *words, "-o", "json", HOMEPORT_DATA_SERVER=self.server.address,
            HOMEPORT_TICKET_FILE=str(file),
        )  # fmt: skip
        assert ran.code == code, ran.out + ran.err
        return ran.document if code == 0 else ran.err

    def http(self, client: str, verb: str, path: str = "", body: Any = None) -> tuple[int, Any]:
        connection = HTTPConnection(self.server.http, timeout=30)
        headers = {"authorization": f"Bearer {self.fleet.ticket(client)}"}
        if body is not None:
            headers["content-type"] = "application/json"
        connection.request(
            verb, f"/v1/tenants/{TENANT}/consents{path}",
            body=None if body is None else json.dumps(body), headers=headers,
        )  # fmt: skip
        answer = connection.getresponse()
        found = answer.status, json.loads(answer.read())
        connection.close()
        return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder, fleet = tmp_path_factory.mktemp("own-consents"), Fleet(time.time())
    (folder / "keys.json").write_bytes(fleet.key_set())
    (folder / "tokens.toml").write_text(TOKENS)
    (folder / "tokens.toml").chmod(0o600)
    with SharingServer(
        folder, f"--tokens={folder / 'tokens.toml'}", f"--ticket-keys={folder / 'keys.json'}",
        '--ticket-units=["eu-west"]', '--quotas={"own-consents": {"client": 4}}',
    ) as server:  # fmt: skip
        yield Site(folder, server, fleet)


def test_a_user_gives_sees_and_withdraws_by_every_door(site: Site) -> None:
    given = site.command("anna", "give", "--to", "heating", "--purpose", PURPOSE)
    assert (given["subject"], given["application"]) == ("anna", "heating")
    with site.own("anna") as consents:
        (held,) = consents.list()
        assert (held.id, held.purpose, held.withdrawn) == (given["id"], PURPOSE, None)
        other = consents.give(PURPOSE)
    status, listed = site.http("anna", "GET")
    assert status == 200
    assert [one["consentId"] for one in listed["consents"]] == [other.id, held.id]
    status, ended = site.http("anna", "POST", f"/{held.id}:withdraw", {})
    assert (status, ended["consentId"]) == (200, held.id)
    assert site.command("anna", "withdraw", other.id)["withdraw_time"]
    with site.own("anna") as consents:
        assert consents.list() == []
        assert [one.id for one in consents.list(withdrawn=True)] == [other.id, held.id]


def test_the_audit_log_has_the_user_itself(site: Site) -> None:
    with site.own("dev") as consents:
        given = consents.give(PURPOSE)
    ran = run_here(
        "audit", "list", "--of", "sharing", "--method", "GiveOwnConsent", "-o", "json",
        HOMEPORT_DATA_SERVER=site.server.address, HOMEPORT_TOKEN=ADMIN, HOMEPORT_TENANT=TENANT,
    )  # fmt: skip
    assert ran.code == 0, ran.out + ran.err
    (entry,) = [one for one in ran.document["entries"] if given.id in json.dumps(one)]
    assert entry["caller"]["name"] == "client dev"
    assert entry["caller"]["roles"] == ["anyone", "client"]


def test_anothers_is_not_there_and_what_is_no_ticket_here_is_refused(site: Site) -> None:
    status, given = site.http("ben", "POST", body={"purpose": PURPOSE})
    assert status == 200
    assert site.http("mallory", "GET")[1].get("consents", []) == []
    assert site.http("mallory", "POST", f"/{given['consentId']}:withdraw", {})[0] == 404
    assert "no consent" in site.command("mallory", "withdraw", given["consentId"], code=3)
    for ticket in (
        Fleet(time.time()).ticket("ben"),
        site.fleet.ticket("ben", ttl_s=-60.0),
        site.fleet.ticket("ben", unit="us-east"),
    ):
        with (
            homeport.OwnConsents(site.server.address, ticket) as consents,
            pytest.raises(homeport.Unauthenticated),
        ):
            consents.list()
    with site.own("ben") as consents:
        assert [one.id for one in consents.list()] == [given["consentId"]]


def test_who_asks_too_often_is_told_and_nobody_else_is(site: Site) -> None:
    codes = set()
    with site.own("carla") as consents:
        for _ in range(200):
            try:
                consents.list()
            except homeport.HomeportError as error:
                codes.add(error.code)
    assert codes == {homeport.Code.RESOURCE_EXHAUSTED}
    with site.own("mallory") as consents:
        assert consents.list() == []
