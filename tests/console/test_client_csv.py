"""CSV into `homeport provision-many`: each record is answered, a faulty one named by its line."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.cli.failure import CommandFailed
from console.cli.input.client_csv import CsvClients
from console.cli.input.client_entry import MAX_LINE_BYTES, BadLine
from homeport import ClientAt
from tests.support.command_line import CommandLine, run_process
from tests.support.fakes.server import Served


def read(text: str | bytes) -> list[tuple[int, ClientAt | str]]:
    """Clients, and what is wrong where there is none, with their lines."""
    content = text.encode() if isinstance(text, str) else text
    return [
        (number, one.message if isinstance(one, BadLine) else one)
        for number, one in CsvClients(io.BytesIO(content))
    ]


def test_clients_with_addresses_positions_and_nothing(
    cli: CommandLine, service: Served, tmp_path: Path
) -> None:
    file = tmp_path / "clients.csv"
    file.write_text(
        "client_id,ip,latitude,longitude\r\nalice,203.0.113.9,,\r\nbob,,-33.9,151\r\n"
        "\r\ncarol,,,\r\ndave,x,1,2\r\nerin,,north,1\r\n"
    )
    ran = cli("provision-many", str(file))
    assert ran.code == 1
    assert [line["client_id"] for line in ran.lines] == ["alice", "bob", "carol", "dave", "erin"]
    assert [line.get("unit", "-")[:4] for line in ran.lines] == ["unit", "unit", "unit", "-", "-"]
    assert "line 6: has both" in ran.lines[3]["error"]["message"]
    assert 'line 7: latitude "north"' in ran.lines[4]["error"]["message"]


def test_stdin_is_csv_where_that_is_said() -> None:
    ran = run_process("provision-many", "-", "--csv", "--server", "127.0.0.1:1", stdin=b"id\n1\n")
    assert (ran.code, ran.out) == (2, "")
    assert (
        'needs a header with client_id and any of ip, latitude, longitude; its first line is "id"'
        in (ran.err)
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("client_id\na\n", [(2, "a")], id="ids alone"),
        pytest.param("ip, Client_ID \n1.2.3.4, a \n", [(2, "a")], id="another order, spaces"),
        pytest.param("\ufeffclient_id\na\n", [(2, "a")], id="a byte order mark"),
        pytest.param('client_id\n"a,b"\n', [(2, "a,b")], id="a comma in quotes"),
        pytest.param('client_id,ip\n"a\nb",\nc,\n', [(2, None), (3, None), (4, "c")],
                     id="a value over two lines"),
        pytest.param('client_id,ip\n"a,1\nb,\n"c",\n', [(2, None), (3, "b"), (4, "c")],
                     id="a quote never closed"),
        pytest.param('client_id\n"a\n"b\n"c\nd', [(2, None), (3, None), (4, None), (5, "d")],
                     id="several quotes never closed"),
        pytest.param('client_id,ip\na"b,\nc, "1"\nd,""\n', [(2, None), (3, None), (4, "d")],
                     id="quotes in values without"),
        pytest.param('client_id\n"a""b"\n"""c"\n""\n', [(2, 'a"b'), (3, '"c'), (4, "")],
                     id="quotes written twice"),
        pytest.param('client_id\n"a\rb"\n', [(2, "a\rb")], id="a carriage return in quotes"),
        pytest.param("client_id\n\n\na", [(4, "a")], id="empty lines"),
        pytest.param("client_id\n", [], id="no clients"),
        pytest.param("client_id,ip\na\nb,\n", [(2, None), (3, "b")], id="a value is missing"),
        pytest.param("client_id\na,b\nc\n", [(2, None), (3, "c")], id="a value too many"),
        pytest.param('client_id\n"a"b\nc\n', [(2, None), (3, "c")], id="a quote in between"),
        pytest.param("client_id\n" + "x" * (MAX_LINE_BYTES + 9) + "\nc\n", [(2, None), (3, "c")],
                     id="a line too long"),
        pytest.param(b"client_id\n\xff\nc\n", [(2, None), (3, "c")], id="not UTF-8"),
        pytest.param("client_id\na\0\nc\n", [(2, None), (3, "c")], id="a NUL"),
    ],
)  # fmt: skip
def test_what_is_read_from_which_line(
    text: str | bytes, expected: list[tuple[int, str | None]]
) -> None:
    found = read(text)
    assert [number for number, _ in found] == [number for number, _ in expected]
    for (_, one), (_, name) in zip(found, expected, strict=True):
        assert (one.client_id if isinstance(one, ClientAt) else None) == name


@pytest.mark.parametrize(
    "header", ["", "\n", "alice", "client_id,client_id", "client_id,color", '"client_id', "\xff"]
)
def test_without_a_header_nothing_is_provisioned(header: str) -> None:
    with pytest.raises(CommandFailed, match="needs a header"):
        read(header.encode("latin-1"))


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\n"),
                        max_size=30).map(str.strip).filter(bool)))  # fmt: skip
def test_any_id_that_csv_can_write_is_read(names: list[str]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["client_id", "ip"])
    writer.writerows([name, ""] for name in names)
    content = text.getvalue()
    found = [one for _, one in CsvClients(io.BytesIO(content.encode()))]
    assert [one.client_id for one in found if isinstance(one, ClientAt)] == names


CELL = st.sampled_from(["a", '"b"', '"', '"c', 'd"', '""', '"e""f"', "", "g\r"])
RECORDS = st.lists(st.lists(CELL, min_size=2, max_size=2).map(",".join), max_size=8)


@given(RECORDS)
def test_each_line_is_answered_by_itself(records: list[str]) -> None:
    """Whatever is wrong with one line, the others are what they are alone."""
    header = "client_id,ip\n"
    alone = [
        (number, one)
        for number, record in enumerate(records, start=2)
        for _, one in read(header + record + "\n")
    ]
    assert read(header + "".join(f"{record}\n" for record in records)) == alone


@given(st.binary(max_size=200))
def test_no_bytes_are_a_traceback(content: bytes) -> None:
    read(b"client_id,ip,latitude,longitude\n" + content)
