"""ghz, a load generator in Go, calls a server that it knows by reflection alone."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.support.go_programs import GHZ, needs

pytestmark = needs(GHZ, target="test-ghz")
LIMIT_S = 60


def ghz(server, call: str, data: str) -> dict:
    """What it reports of 20 calls."""
    done = subprocess.run(
        [
            str(GHZ.path), "--insecure", "--call", call, "--data", data,
            "--total", "20", "--concurrency", "2", "--timeout", "20s", "--format", "json",
            server.address,
        ],
        capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert isinstance(report, dict)
    return report


@pytest.mark.parametrize(
    ("call", "data"),
    [
        pytest.param(
            "homeport.api.provisioning.v1.ProvisioningService/Provision",
            '{"client_id": "ghz-{{.RequestNumber}}"}',
            id="the-hot-method",
        ),
        pytest.param(
            "homeport.api.provisioning.v1.ProvisioningService.Provision",
            '{"client_id": "ghz"}',
            id="named-with-a-dot",
        ),
        pytest.param(
            "homeport.api.fleet.v1.FleetService/GetUnit", '{"unit_id": "dublin"}', id="a-servicer"
        ),
        pytest.param("grpc.health.v1.Health/Check", "{}", id="health"),
    ],
)
def test_it_needs_no_proto_files(server, call: str, data: str) -> None:
    report = ghz(server, call, data)
    codes = report["statusCodeDistribution"]
    assert sum(codes.values()) == 20
    # A busy server may ask to come back, which ghz does not; anything else is a fault.
    assert codes["OK"] > 0
    assert set(codes) <= {"OK", "Unavailable"}, report["errorDistribution"]
