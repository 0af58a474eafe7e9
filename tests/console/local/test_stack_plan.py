"""What `homeport up` runs, decided before anything runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from console.local.stack import secured
from console.local.stack_options import MailRelay, Sharing, StackOptions, TextLine, with_pages
from console.local.stack_plan import (
    MOST_RESTARTS,
    RESTART_WINDOW_S,
    plan_stack,
    restart_delay_s,
    settled_arguments,
)
from console.local.stack_security import StackSecurity
from control_plane.errors import InvalidInput
from control_plane.fleet.unit import UnitId

OPTIONS = StackOptions(data_dir=Path("data"), units=Path("fleet.yaml"))


@pytest.mark.parametrize(
    ("store", "order"),
    [
        pytest.param("embedded", ["server", "agent"], id="embedded needs no store process"),
        pytest.param("etcd", ["etcd", "server", "agent"], id="etcd starts before who uses it"),
        pytest.param("etcd://h:1,h:2", ["server", "agent"], id="a running etcd is not started"),
        pytest.param("etcds://h:1", ["server", "agent"], id="nor is one with TLS"),
    ],
)
def test_programs_start_in_the_order_of_need(store: str, order: list[str]) -> None:
    plan = plan_stack(replace(OPTIONS, store=store))
    assert [program.name for program in plan.programs] == order


def test_facts_of_earlier_programs_reach_later_ones() -> None:
    """The server learns etcd's port, the agent the server's, once they are known."""
    _, server, agent = plan_stack(replace(OPTIONS, store="etcd", port=0, workers=2)).programs
    facts = {"etcd": {"url": "etcd://127.0.0.1:4"}, "server": {"grpc": "127.0.0.1:5"}}
    assert settled_arguments(server, facts) == (
        "--store=etcd://127.0.0.1:4",
        "--store-user=root",
        "--store-password-file=data/etcd-password",
        "--listen=127.0.0.1:0",
        "--metrics-listen=127.0.0.1:7701",
        "--http-listen=127.0.0.1:0",
        "--transport=auto",
        "--workers=2",
        "--snapshot=data/snapshot",
        "--ready-file=data/run/server.json",
    )
    assert settled_arguments(agent, facts) == (
        "--units=fleet.yaml",
        "--server=127.0.0.1:5",
        "--listen=127.0.0.1:0",
        "--state-dir=data/units",
        "--ready-file=data/run/agent.json",
    )


def test_units_may_have_a_process_each() -> None:
    """Each with its own part of the fleet file, its own token and certificate; all in one folder
    of accounts, where each has a folder of its own."""
    options = replace(OPTIONS, apart=("dublin", "tokyo"), accounts=True)
    _, dublin, tokyo = plan_stack(options).programs
    assert (dublin.name, tokyo.name) == ("agent-dublin", "agent-tokyo")
    assert "--units=data/run/fleet-dublin.yaml" in dublin.arguments
    assert "--units=data/run/fleet-tokyo.yaml" in tokyo.arguments
    assert dublin.ready_file != tokyo.ready_file


def test_codes_are_sent_through_the_relay_that_is_named() -> None:
    mail = MailRelay(address="127.0.0.1:2525", domain="talk.example")
    server, _ = plan_stack(replace(OPTIONS, mail=mail)).programs
    assert "--directory-mail-relay=127.0.0.1:2525" in server.arguments
    assert "--directory-mail-from=codes@talk.example" in server.arguments


def test_a_silent_unit_keeps_its_clients_as_long_as_is_said() -> None:
    server, _ = plan_stack(replace(OPTIONS, lost_after_s=600.0)).programs
    assert "--lost-after-s=600.0" in server.arguments


@pytest.mark.parametrize("vouches", [False, True])
def test_units_send_and_take_mail_and_texts(*, vouches: bool) -> None:
    """Those with accounts; nobody is believed on whose a mail is unless that is said."""
    mail = MailRelay(address="127.0.0.1:2525", domain="talk.example", vouches=vouches)
    text = TextLine(address="127.0.0.1:2526", number="+442079460000")
    without, agent = (
        plan_stack(replace(OPTIONS, mail=mail, text=text, accounts=accounts)).programs[-1].arguments
        for accounts in (False, True)
    )
    wanted = {
        "--mail-relay=127.0.0.1:2525", "--mail-domain=talk.example=default",
        "--smtp-listen=127.0.0.1:0", "--text-line=127.0.0.1:2526", "--text-number=+442079460000",
    }  # fmt: skip
    assert wanted <= set(agent)
    assert ("--mail-trusted=127.0.0.1" in agent) == vouches
    assert wanted & set(without) == set()


def test_units_of_accounts_are_told_which_push_services_these_may_use() -> None:
    for accounts, wanted in ((True, ["--push=ntfys=*"]), (False, [])):
        options = replace(OPTIONS, push="ntfys=*", accounts=accounts)
        agent = plan_stack(options).programs[-1].arguments
        assert [one for one in agent if str(one).startswith("--push")] == wanted


def test_units_are_agents_of_applications_where_a_server_decides() -> None:
    """It is started before them; so are pages, where hosts are named."""
    security = StackSecurity(folder=Path("data/security"))
    options = replace(
        OPTIONS, sharing=Sharing(tenant="talk"), security=security, hosts={"talk.example": "talk"}
    )
    server, sharing, agent = plan_stack(options).programs
    assert sharing.name == "sharing"
    assert agent.needs == {"server", "sharing"}
    assert "--data-sharing-token-file=data/security/messages.token" in agent.arguments
    assert '--directory-hosts={"talk.example": "talk"}' in server.arguments


def test_a_data_sharing_server_keeps_everything_on_the_nats_server_beside_it() -> None:
    options = replace(OPTIONS, feeds="nats", feeds_port=7703)
    server, nats, sharing, agent = plan_stack(options).programs
    assert [one.name for one in (server, nats, sharing, agent)] == [
        "server", "nats", "sharing", "agent",
    ]  # fmt: skip
    assert sharing.needs == {"nats"}
    facts = {"nats": {"url": "nats://127.0.0.1:4", "monitoring": "http://127.0.0.1:5"}}
    arguments = settled_arguments(sharing, facts)
    assert {
        "--feeds=nats://127.0.0.1:4",
        "--feeds-monitoring=http://127.0.0.1:5",
        "--feeds-replicas=1",
        "--feeds-allow-fewer",
        "--listen=127.0.0.1:7703",
        "--http-listen=127.0.0.1:7704",
    } <= set(arguments)
    assert plan_stack(options).ports["--feeds-port"] == 7703
    with pytest.raises(InvalidInput, match="there is: nats"):
        plan_stack(replace(OPTIONS, feeds="kafka"))


def test_links_lead_to_the_ports_of_pages_and_units() -> None:
    """Each unit at a name of its own, so that a browser keeps a session for each."""
    units = ("eu-west", "eu-north")
    base = replace(OPTIONS, accounts=True, apart=units)
    ports = {UnitId("eu-west"): 7721, UnitId("eu-north"): 7722}
    options = with_pages(base, "homeport.localhost", 7720, ports, secured=True)
    server, west, _ = plan_stack(options).programs
    assert '--directory-hosts={"homeport.localhost:7720": "default"}' in server.arguments
    assert "--directory-http-listen=127.0.0.1:7720" in server.arguments
    assert "--http-listen=127.0.0.1:7721" in west.arguments
    urls = "eu-west=https://eu-west.localhost:7721,eu-north=https://eu-north.localhost:7722"
    assert f"--web-url={urls}" in west.arguments
    assert options.host_names == ["homeport.localhost", "eu-west.localhost", "eu-north.localhost"]


def test_where_ports_are_not_known_no_link_names_one() -> None:
    base = replace(OPTIONS, accounts=True, apart=("eu-west",))
    options = with_pages(base, "homeport.localhost", 0, {UnitId("eu-west"): 0}, secured=True)
    server, west = plan_stack(options).programs
    assert '--directory-hosts={"homeport.localhost": "default"}' in server.arguments
    assert "--http-listen=127.0.0.1:0" in west.arguments
    assert not any(str(one).startswith("--web-url") for one in west.arguments)


def test_only_fixed_ports_are_checked() -> None:
    """Port 0 is any port, so there is nothing that could be taken."""
    assert plan_stack(OPTIONS).ports == {"--port": 7700, "--metrics-port": 7701}
    assert plan_stack(replace(OPTIONS, port=0, metrics_port=0)).ports == {}


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        pytest.param(replace(OPTIONS, store="redis"), "none of embedded", id="an unknown store"),
        pytest.param(
            replace(OPTIONS, workers=2), "--store etcd", id="several workers on one SQLite file"
        ),
    ],
)
def test_options_that_do_not_fit_are_refused(options: StackOptions, complaint: str) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        plan_stack(options)


def test_restarts_wait_twice_as_long_each_time_and_then_end() -> None:
    """A program that cannot run must neither spin nor be restarted for ever."""
    deaths: list[float] = []
    delays = []
    for death_s in range(MOST_RESTARTS + 1):
        deaths.append(float(death_s))
        delays.append(restart_delay_s(deaths, float(death_s)))
    assert delays == [0.2, 0.4, 0.8, 1.6, 3.2, None]


def test_old_deaths_are_forgiven() -> None:
    """A program that dies once a day is started at once each time."""
    deaths = [day * 86_400.0 for day in range(50)]
    assert restart_delay_s(deaths, deaths[-1]) == 0.2
    assert restart_delay_s([0.0, RESTART_WINDOW_S], RESTART_WINDOW_S) == 0.4


def test_keys_over_partitions_are_decided_by_as_many_servers_on_ports_of_their_own():
    options = replace(OPTIONS, feeds="nats", feeds_port=7703, feeds_partitions=3)
    workers = [one for one in plan_stack(options).programs if one.module == "data_sharing"]
    assert [one.name for one in workers] == ["sharing", "sharing-1", "sharing-2"]
    told = [[str(argument) for argument in one.arguments] for one in workers]
    assert all("--feeds-partitions=3" in arguments for arguments in told)
    listens = [one for each in told for one in each if one.startswith(("--listen", "--http"))]
    assert [one.rpartition(":")[2] for one in listens] == [str(port) for port in range(7703, 7709)]
    assert len({one for each in told for one in each if one.startswith("--data-dir")}) == 3
    assert not any(one.startswith("--feeds-servers-ca") for each in told for one in each)


def test_servers_of_partitions_know_by_whom_the_others_are_signed(tmp_path):
    options = secured(replace(OPTIONS, data_dir=tmp_path, feeds="nats", feeds_partitions=2))
    workers = [one for one in plan_stack(options).programs if one.module == "data_sharing"]
    assert options.security is not None
    for one in workers:
        assert f"--feeds-servers-ca={options.security.ca}" in one.arguments
