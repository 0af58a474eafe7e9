"""`homeport provision-many`: a line out for every line in, whatever the lines are."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.cli.input.client_lines import MAX_LINE_BYTES, BadLine, client_of, numbered_lines
from homeport import ClientAt
from tests.support.command_line import CommandLine, run_process
from tests.support.fakes.provisioning_service import NO_ROOM, FakeProvisioning
from tests.support.fakes.server import Served, serving


def ndjson(*entries: object) -> bytes:
    """Dictionaries as JSON, bytes as they are."""
    return b"".join(
        (entry if isinstance(entry, bytes) else json.dumps(entry).encode()) + b"\n"
        for entry in entries
    )


def write(path: Path, *entries: object) -> str:
    path.write_bytes(ndjson(*entries))
    return str(path)


def test_answers_come_in_the_order_of_the_lines(
    cli: CommandLine, service: Served, tmp_path: Path
) -> None:
    """Good lines, bad lines and clients without room keep their places."""
    assert service.provisioning is not None
    service.provisioning.full.add("carol")
    file = write(
        tmp_path / "clients",
        b"not json",
        {"client_id": "alice", "ip": "203.0.113.9"},
        {"client_id": "bob", "at": [-33.9, 151]},
        b"",
        {"client_id": "carol", "ip": "203.0.113.9"},
        {"client_id": "dave", "ip": "nonsense"},
        {"client_id": "erin"},
        {"client_id": "frank", "unit": "eu"},
    )
    ran = cli("provision-many", file)
    assert ran.code == 1
    assert [line["client_id"] for line in ran.lines] == [
        None, "alice", "bob", "carol", "dave", "erin", "frank",
    ]  # fmt: skip
    first, alice, bob, carol, dave, erin, frank = ran.lines
    assert first["error"]["code"] == "INVALID_ARGUMENT"
    assert first["error"]["message"].startswith("line 1: is not JSON")
    assert alice == {
        "client_id": "alice", "unit": "unit-0", "epoch": 1, "source": "database",
        "distance_km": 12.5,
    }  # fmt: skip
    assert (bob["unit"], bob["source"]) == ("unit-1", "database")
    assert carol["error"] == {"code": "RESOURCE_EXHAUSTED", "message": NO_ROOM.message}
    assert dave["error"]["code"] == "INVALID_ARGUMENT"
    assert (erin["unit"], erin["distance_km"]) == ("unit-0", None)
    assert frank["error"]["message"].startswith('line 8: unknown key "unit"')


def test_all_done_exits_with_zero_and_leaves_tickets_out(
    cli: CommandLine, service: Served, tmp_path: Path
) -> None:
    """Tickets are credentials: only who asks for them gets them into a file."""
    file = write(tmp_path / "clients", {"client_id": "alice", "ip": "203.0.113.9"})
    ran = cli("provision-many", file)
    assert (ran.code, ran.err) == (0, "")
    assert "ticket" not in ran.lines[0]
    (with_ticket,) = cli("provision-many", file, "--tickets").lines
    assert with_ticket["ticket"] == "ticket:default:alice:unit-0:1"


def test_an_empty_file_is_done(cli: CommandLine, service: Served, tmp_path: Path) -> None:
    ran = cli("provision-many", write(tmp_path / "none"))
    assert (ran.code, ran.out) == (0, "")


def test_when_the_service_goes_away_every_line_hears_of_it(
    cli: CommandLine, service: Served, tmp_path: Path
) -> None:
    """No line is left without an answer, and the exit code says why."""
    assert service.provisioning is not None
    service.provisioning.fail(times=9, message="the store is away; wait", retry_after_s=1000.0)
    entries = [{"client_id": f"c{n}"} for n in range(2_500)]
    ran = cli("provision-many", write(tmp_path / "clients", *entries, b"bad"))
    assert (ran.code, ran.err) == (5, "homeport: the store is away; wait\n")
    assert [line["client_id"] for line in ran.lines] == [
        *(entry["client_id"] for entry in entries), None,
    ]  # fmt: skip
    assert {line["error"]["code"] for line in ran.lines[:-1]} == {"UNAVAILABLE"}


def test_a_file_that_is_not_there_is_wrong_usage(cli: CommandLine, service: Served) -> None:
    ran = cli("provision-many", "/nonexistent/clients")
    assert (ran.code, ran.out) == (2, "")
    assert "cannot be read" in ran.err


def test_standard_input_and_output_are_pure_in_a_process_of_their_own() -> None:
    """As in a pipe: NDJSON on stdout, nothing on stderr, also for what no encoding can say."""
    with serving(FakeProvisioning()) as served:
        lines = ndjson(
            {"client_id": "zoë"}, {"client_id": "\ud800"}, b'{"client_id": "\xff"}', b"[]"
        )
        ran = run_process("provision-many", "-", stdin=lines, HOMEPORT_SERVER=served.address)
    assert (ran.code, ran.err) == (1, "")
    zoe, *wrong = ran.lines
    assert (zoe["client_id"], zoe["unit"]) == ("zoë", "unit-0")
    assert all(line["error"]["code"] == "INVALID_ARGUMENT" for line in wrong)
    assert len(wrong) == 3


ORIGINS = st.one_of(
    st.builds(lambda ip: {"ip": ip}, st.ip_addresses().map(str)),
    st.builds(lambda *at: {"at": list(at)}, st.floats(-90, 90), st.floats(-180, 180)),
    st.just({}),
)
GOOD = st.builds(lambda name, origin: {"client_id": name, **origin}, st.text(), ORIGINS)


@given(GOOD)
def test_whatever_is_described_is_read(entry: dict[str, object]) -> None:
    """The id as it is, the origin as it is; judging them is the service's."""
    client = client_of(json.dumps(entry).encode())
    at = entry.get("at")
    assert client == ClientAt(
        client_id=str(entry["client_id"]),
        address=entry.get("ip"),  # type: ignore[arg-type]
        position=tuple(at) if isinstance(at, list) else None,  # type: ignore[arg-type]
    )


@given(st.binary(max_size=60))
def test_no_line_is_so_bad_that_it_ends_the_run(line: bytes) -> None:
    """Any bytes are a client or a BadLine; nothing else is raised."""
    with suppress(BadLine):
        assert isinstance(client_of(line), ClientAt)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        pytest.param(b'"alice"', "not an object", id="a text"),
        pytest.param(b"{}", "client_id must be", id="no id"),
        pytest.param(b'{"client_id": 7}', "client_id must be", id="a number for an id"),
        pytest.param(b'{"client_id": "a", "ip": 7}', "ip must be", id="a number for an address"),
        pytest.param(b'{"client_id": "a", "at": [1]}', "at must be", id="half a position"),
        pytest.param(b'{"client_id": "a", "at": [true, 1]}', "at must be", id="true is no degree"),
        pytest.param(b'{"client_id": "a", "at": "1,2"}', "at must be", id="a position as text"),
        pytest.param(
            b'{"client_id": "a", "ip": "::1", "at": [1, 2]}', "both", id="two places at once"
        ),
        pytest.param(b"[" * 60_000, "cannot be read", id="nested too deep to read"),
        pytest.param(b'{"client_id": ' + b"9" * 9_999 + b"}", "cannot be read", id="a huge number"),
    ],
)
def test_a_bad_line_is_told_what_is_wrong(line: bytes, complaint: str) -> None:
    with pytest.raises(BadLine, match=complaint):
        client_of(line)


@given(
    st.lists(
        st.sampled_from(
            [
                b"",
                b"  ",
                b"x",
                b"y" * (MAX_LINE_BYTES - 1),
                b"z" * MAX_LINE_BYTES,
                b"w" * (2 * MAX_LINE_BYTES + 7),
            ]
        )
    )
)
def test_long_lines_are_cut_and_shift_no_other_line(lines: Sequence[bytes]) -> None:
    """Each non-empty line comes once, with its own number and beginning."""
    read = list(numbered_lines(io.BytesIO(b"\n".join(lines) + b"\n")))
    expected = [(n, line) for n, line in enumerate(lines, 1) if line.strip()]
    assert [number for number, _ in read] == [number for number, _ in expected]
    for (_, got), (_, line) in zip(read, expected, strict=True):
        assert got.rstrip(b"\n") == line[: len(got.rstrip(b"\n"))]
        assert (len(got) > MAX_LINE_BYTES) == (len(line) >= MAX_LINE_BYTES)


def test_a_line_says_what_its_client_is() -> None:
    found = client_of(b'{"client_id": "anna", "attributes": {"kind": "bank", "tier": ""}}')
    assert found == ClientAt(client_id="anna", attributes={"kind": "bank", "tier": ""})
    for faulty in (b'["kind"]', b'{"kind": 5}', b'"kind"'):
        with pytest.raises(BadLine, match="attributes must be an object of strings"):
            client_of(b'{"client_id": "anna", "attributes": %s}' % faulty)
