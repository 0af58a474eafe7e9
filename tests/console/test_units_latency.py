"""Latencies through a real server: offered, measured by the client library, listed."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

import homeport
from console.cli.views.homes import explanation_document, explanation_view
from tests.support import servers
from tests.support.command_line import CommandLine
from tests.support.filled_views import explanation


def test_a_client_measures_what_it_is_offered_and_is_told_what_became_of_it(
    cli: CommandLine, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        (made,) = servers.start(stack, tmp_path, f"embedded:{tmp_path}/store.db", 1)
        asyncio.run(servers.apply(made.address, servers.units(dublin=9, virginia=9)))
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        near = f"127.0.0.1:{listener.getsockname()[1]}"
        dublin = replace(servers.units(dublin=9)[0], endpoint=near)
        asyncio.run(servers.apply(made.address, [dublin]))
        client = stack.enter_context(homeport.Client(made.address))
        client.provision("anna")
        report = client.report_latencies("anna", connect_timeout_s=5.0)
        assert "dublin" in report.measured_ms
        assert report.accepted == 0
        assert report.refused["dublin"] == "nobody knows where the client is"  # on this machine
        assert report.report_after_s == 60.0
        with pytest.raises(homeport.NoRoom):
            client.report_latencies("anna", connect_timeout_s=5.0, timeout_s=2.0)
        ran = cli("units", "latency", "--server", made.address, "-o", "json")
        assert (ran.code, ran.document) == (0, [])
        ran = cli("units", "latency", "--server", made.address)
        assert "too few networks of a place have reported" in ran.out


def test_explain_says_who_measured_and_when() -> None:
    told = explanation_document("anna", explanation())
    assert told["units"][0]["measured"] == {
        "ms": 1234.5, "reports": 72, "networks": 12, "age_s": 21_599,
    }  # fmt: skip
    console = Console(width=400, record=True)
    console.print(explanation_view("anna", explanation()))
    said = " ".join(console.export_text().split())
    assert "measured by 72 clients" in said
