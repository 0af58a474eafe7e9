"""`homeport up`: the whole local stack as users run it, on both stores."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

import homeport
from console.local.etcd_process import free_ports
from control_plane.data_folder import MARKER
from tests.support.certificates import Authority
from tests.support.go_programs import ETCD_3_6, ETCD_3_7, GoProgram, needs
from tests.support.local_stack import Up, wait_until

FLEET = """
units:
  - {id: dublin, endpoint: "dublin.example.net:443", position: {latitude: 53.3, longitude: -6.3},
     country: IE, capacity: 100}
  - {id: tokyo, endpoint: "tokyo.example.net:443", position: {latitude: 35.7, longitude: 139.7},
     country: JP, capacity: 100}
"""
TOKYO = (35.0, 139.0)
DUBLIN = (53.0, -6.0)

STORES = [
    pytest.param(("--store", "embedded", "--transport", "grpcio"), id="embedded, grpcio"),
    pytest.param(("--store", "etcd", "--transport", "native"), id="etcd, native"),
]


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    path = tmp_path / "fleet.yaml"
    path.write_text(FLEET)
    return path


def admits(up: Up, home: homeport.Assignment) -> bool:
    """Whether the agent that stands now for the client's unit lets it in."""
    try:
        return homeport.admit(up.ready["units"][home.unit_id], home.ticket).admitted
    except homeport.Unavailable:
        return False


def asked_over_http(up: Up, client_id: str) -> str:
    """The client's unit, as HTTP and JSON have it, with the CA and token that `up` tells of."""
    context = ssl.create_default_context(cafile=up.ready["ca"])
    token = Path(up.ready["token_file"]).read_text().strip()
    request = urllib.request.Request(
        f"https://{up.ready['http']}/v1/tenants/default/clients/{client_id}:provision",
        b'{"address": "81.2.69.142"}',
        {"authorization": f"Bearer {token}", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30.0, context=context) as answer:
        return str(json.load(answer)["assignment"]["unitId"])


@pytest.mark.parametrize("store", STORES)
def test_it_serves_stops_on_ctrl_c_and_keeps_its_data(
    tmp_path: Path, fleet: Path, store: tuple[str, ...]
) -> None:
    """The second run knows the homes of the first, and no process survives either."""
    arguments = (*store, "--units", str(fleet))
    with Up(tmp_path / "data", *arguments) as up:
        with homeport.Client(up.grpc) as client:
            home = client.provision("aiko", position=TOKYO)
        assert home.unit_id == "tokyo"
        assert asked_over_http(up, "aiko") == "tokyo"
        assert home.endpoint == up.ready["units"]["tokyo"]
        assert homeport.admit(home.endpoint, home.ticket).admitted
        refused = homeport.admit(up.ready["units"]["dublin"], home.ticket)
        assert refused.reason is homeport.AdmitReason.WRONG_UNIT
        assert up.stop(signal.SIGINT) == 0
        assert "Homeport is up" in up.out
        assert "everything is kept" in up.err
        assert up.left_behind() == []
        assert not up.ready_file.exists()
    with Up(tmp_path / "data", *arguments) as up, homeport.Client(up.grpc) as client:
        again = client.provision("aiko", position=DUBLIN)
        assert (again.unit_id, again.epoch, again.existing) == ("tokyo", home.epoch, True)
        assert homeport.admit(again.endpoint, home.ticket).admitted


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(ETCD_3_6, id="3.6", marks=needs(ETCD_3_6, target="test-etcd-versions")),
        pytest.param(ETCD_3_7, id="3.7", marks=needs(ETCD_3_7, target="test-etcd-versions")),
    ],
)
def test_it_starts_the_etcd_that_is_named(
    tmp_path: Path, fleet: Path, monkeypatch: pytest.MonkeyPatch, program: GoProgram
) -> None:
    """And again over the data of its first run."""
    monkeypatch.setenv("ETCD_BIN", str(program.path))
    arguments = ("--store", "etcd", "--units", str(fleet))
    for existing in (False, True):
        with Up(tmp_path / "data", *arguments) as up, homeport.Client(up.grpc) as client:
            running = Path(f"/proc/{up.ready['pids']['etcd-member']}/exe")
            assert not running.exists() or running.resolve() == program.path.resolve()
            assert client.provision("aiko", position=TOKYO).existing is existing


@pytest.mark.parametrize(
    "child",
    [
        "server",
        pytest.param("agent", marks=pytest.mark.slow),
        pytest.param("etcd-member", marks=pytest.mark.slow),
    ],
)
def test_a_program_that_dies_is_started_again(tmp_path: Path, fleet: Path, child: str) -> None:
    """Where clients know it, and with everything it had acknowledged."""
    with Up(tmp_path / "data", "--store", "etcd", "--units", str(fleet)) as up:
        before = up.ready
        with homeport.Client(up.grpc, timeout_s=30.0) as client:
            home = client.provision("aiko", position=TOKYO)
            up.kill_child(child)
            assert client.provision("liam", position=DUBLIN, timeout_s=30.0).unit_id == "dublin"
            again = client.get("aiko", timeout_s=30.0)
        assert (again.unit_id, again.epoch) == (home.unit_id, home.epoch)
        assert (up.grpc, up.ready["store"]) == (before["grpc"], before["store"])
        wait_until(lambda: admits(up, again), "the unit admits again")
        assert up.stop() == 0
        assert up.left_behind() == []


@pytest.mark.slow
def test_with_mtls_this_users_programs_show_certificates_by_themselves(
    tmp_path: Path, fleet: Path
) -> None:
    """And whoever shows none, or another CA's, does not get as far as showing a token."""
    with Up(tmp_path / "data", "--mtls", "--units", str(fleet)) as up:
        with homeport.Client(up.grpc) as client:
            home = client.provision("aiko", position=TOKYO)
        assert homeport.admit(home.endpoint, home.ticket).admitted
        listed = [sys.executable, "-m", "console.cli.main", "units", "list", "--server", up.grpc]
        subprocess.run(listed, check=True, capture_output=True, timeout=60)
        token = Path(up.ready["token_file"]).read_text().strip()
        other = Authority.new().write(tmp_path, "other")
        shown = up.ready["certificate"], up.ready["certificate_key"]
        for certificate, key in ((None, None), other, shown):
            tls = homeport.Tls.from_files(up.ready["ca"], certificate=certificate, key=key)
            with homeport.Client(up.grpc, tls=tls, token=token, timeout_s=5.0) as client:
                if (certificate, key) == shown:
                    assert client.get("aiko").unit_id == "tokyo"
                else:
                    with pytest.raises(homeport.Unavailable):
                        client.get("aiko")
        with (
            homeport.Client(up.grpc, tls=tls) as nobody,
            pytest.raises(homeport.PermissionDenied),
        ):
            nobody.provision("liam")


def test_mtls_and_insecure_are_opposites(tmp_path: Path, fleet: Path) -> None:
    up = Up(tmp_path / "data", "--mtls", "--insecure", "--units", str(fleet)).start()
    assert (up.finish(), "opposites" in up.err) == (2, True)
    assert not (tmp_path / "data").exists()


def test_nothing_is_left_when_it_is_killed_itself(tmp_path: Path, fleet: Path) -> None:
    """kill -9 gives it no chance to stop anything; the kernel tells its children."""
    with Up(tmp_path / "data", "--store", "etcd", "--units", str(fleet)) as up:
        assert up.stop(signal.SIGKILL) == -signal.SIGKILL
        wait_until(lambda: up.left_behind() == [], "the children are gone")


def test_a_signal_while_it_starts_leaves_nothing_behind(tmp_path: Path, fleet: Path) -> None:
    up = Up(tmp_path / "data", "--store", "etcd", "--units", str(fleet)).start()
    wait_until(lambda: (tmp_path / "data" / "logs" / "etcd.log").exists(), "etcd is started")
    assert up.stop(signal.SIGTERM) == 0
    assert up.left_behind() == []
    assert not up.ready_file.exists()


def test_a_port_that_is_taken_is_named_and_nothing_is_started(tmp_path: Path, fleet: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        up = Up(tmp_path / "data", "--units", str(fleet), "--port", str(port)).start()
        assert up.finish() == 1
    assert f"port {port} on 127.0.0.1" in up.err
    assert "--port" in up.err
    assert not (tmp_path / "data" / "logs").exists()


def test_a_data_directory_serves_one_stack_at_a_time(tmp_path: Path, fleet: Path) -> None:
    with Up(tmp_path / "data", "--units", str(fleet)) as up:
        second = subprocess.run(
            [sys.executable, "-m", "console.cli.main", "up", "--port", "0",
             "--data-dir", str(up.data_dir)],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert second.returncode == 1
        assert f"another homeport up (process {up.ready['pid']})" in second.stderr
        with homeport.Client(up.grpc) as client:
            assert client.provision("liam", position=DUBLIN).unit_id == "dublin"


def test_a_mistake_in_the_fleet_file_is_said_at_once(tmp_path: Path) -> None:
    fleet = tmp_path / "fleet.yaml"
    fleet.write_text(FLEET.replace("capacity: 100", "capacity: 0"))
    up = Up(tmp_path / "data", "--units", str(fleet)).start()
    assert up.finish() == 2
    assert "capacity" in up.err
    assert "Traceback" not in up.err
    assert not (tmp_path / "data").exists()


def test_a_program_that_cannot_start_is_shown_with_the_end_of_its_log(
    tmp_path: Path, fleet: Path
) -> None:
    """Here: the server, over a store that is none."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / MARKER).touch()
    (tmp_path / "data" / "store.db").write_text("no SQLite file" * 1_000)
    up = Up(tmp_path / "data", "--units", str(fleet)).start()
    assert up.finish() == 1
    assert "the server exited with 1 while starting" in up.err
    assert "store.db" in up.err
    assert up.left_behind() == []


def test_a_faulty_geo_database_is_said_at_once(tmp_path: Path, fleet: Path) -> None:
    up = Up(tmp_path / "data", "--units", str(fleet), "--geo", str(fleet)).start()
    assert up.finish() == 2
    assert "not a MaxMind database" in up.err
    assert not (tmp_path / "data").exists()


def test_the_port_of_an_etcd_that_is_started_is_chosen_and_shown(
    tmp_path: Path, fleet: Path
) -> None:
    (port,) = free_ports(1)
    arguments = ("--store", "etcd", "--etcd-port", str(port), "--units", str(fleet))
    with Up(tmp_path / "data", *arguments) as up:
        assert up.ready["store"] == f"etcd://127.0.0.1:{port}"
        assert up.stop() == 0
        assert f"etcd://127.0.0.1:{port}" in up.out


@pytest.mark.slow
def test_an_agents_restart_does_not_bring_a_removed_unit_back(tmp_path: Path, fleet: Path) -> None:
    with Up(tmp_path / "data", "--units", str(fleet)) as up:
        command = [sys.executable, "-m", "console.cli.main"]
        removed = [*command, "units", "remove", "tokyo", "--server", up.grpc]
        subprocess.run(removed, check=True, capture_output=True, timeout=60)
        up.kill_child("agent")
        log = up.data_dir / "logs" / "agent.log"
        wait_until(lambda: "removed by an operator" in log.read_text(), "the agent is told")
        wait_until(lambda: set(up.ready["units"]) == {"dublin"}, "the other unit is registered")
        listed = [*command, "units", "list", "-o", "json", "--server", up.grpc]
        units = subprocess.run(listed, check=True, capture_output=True, timeout=60)
        assert [one["id"] for one in json.loads(units.stdout)["units"]] == ["dublin"]
        assert up.stop() == 0


@pytest.mark.slow
def test_further_servers_join_on_the_same_etcd(tmp_path: Path, fleet: Path) -> None:
    """`homeport serve` as `up` prints it knows the same homes, and asks for the same tokens."""
    ready_file = tmp_path / "second.json"
    with Up(tmp_path / "data", "--store", "etcd", "--units", str(fleet)) as up:
        with homeport.Client(up.grpc) as client:
            home = client.provision("aiko", position=TOKYO)
        assert up.process is not None
        assert up.process.stdout is not None
        printed = iter(up.process.stdout.readline, b"")
        line = next(one for one in printed if b"homeport serve" in one).decode()
        command = [sys.executable, "-m", "console.cli.main", *shlex.split(line)[2:]]
        command += ["--ready-file", str(ready_file)]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as second:
            try:
                wait_until(ready_file.exists, "the second server serves")
                address = Up.read(ready_file)["grpc"]
                tls = homeport.Tls.from_files(up.ready["ca"])
                token = Path(up.ready["token_file"]).read_text().strip()
                with homeport.Client(address, tls=tls, token=token) as client:
                    assert client.get("aiko").unit_id == home.unit_id
                with (
                    homeport.Client(address, tls=tls) as client,
                    pytest.raises(homeport.PermissionDenied),
                ):
                    client.get("aiko")
            finally:
                os.kill(second.pid, signal.SIGTERM)
            assert second.wait(30.0) == 0
