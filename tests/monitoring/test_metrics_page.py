"""The list of metrics is what running servers expose, and names follow the rules."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from monitoring.exposed_metrics import exposed_metrics, merged
from monitoring.metrics_page import PAGE, read, written

PERSONAL = {"client", "client_id", "address", "peer", "token", "user", "subject"}
OF_A_SCRAPE = {"instance", "job", "service", "pod", "namespace", "container", "endpoint", "node"}


async def test_the_page_is_what_servers_expose() -> None:
    families = await exposed_metrics()
    page = PAGE.read_text()
    assert page == written(families), "run `python -m monitoring.metrics_page`"
    assert read(page) == families


def test_names_say_their_unit_and_no_label_is_a_persons() -> None:
    for one in read(PAGE.read_text()):
        assert re.fullmatch(r"(homeport|process)(_[a-z0-9]+)+", one.name)
        assert one.help.endswith(".")
        if one.name.startswith("homeport_"):
            assert (one.kind == "counter") == one.name.endswith("_total"), one.name
        if one.kind == "histogram":
            assert one.unit, one.name
        assert not {"ms", "milliseconds", "minutes", "kb", "percent"} & set(one.name.split("_"))
        assert not PERSONAL & set(one.labels), one.name
        assert not OF_A_SCRAPE & set(one.labels), one.name


def test_two_servers_cannot_mean_different_things_by_one_name() -> None:
    with pytest.raises(ValueError, match="homeport_x"):
        merged({"a": [GaugeMetricFamily("homeport_x", "One.")],
                "b": [GaugeMetricFamily("homeport_x", "Another.")]})  # fmt: skip


def test_a_family_without_a_sample_is_listed_with_its_labels() -> None:
    (family,) = merged({"a": [CounterMetricFamily("homeport_x", "One.", labels=["end"])]})
    assert (family.name, family.labels) == ("homeport_x_total", ("end",))


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_finds_nothing_to_say() -> None:
    """Of names and help texts alone; a server's own page is checked in tests/faults."""
    lines = []
    for one in read(PAGE.read_text()):
        if one.kind == "histogram" or not one.name.startswith("homeport_"):
            continue
        lines += [f"# HELP {one.name} {one.help}", f"# TYPE {one.name} {one.kind}"]
        labels = ",".join(f'{label}="x"' for label in one.labels)
        lines.append(f"{one.name}{{{labels}}} 1" if labels else f"{one.name} 1")
    ran = subprocess.run(
        ["promtool", "check", "metrics"], input="\n".join(lines) + "\n", text=True,
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert (ran.stdout + ran.stderr, ran.returncode) == ("", 0)
