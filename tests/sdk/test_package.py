"""What `pip install homeport` gives: its imports, its names, its version."""

from __future__ import annotations

import importlib.metadata
import inspect
import json
import subprocess
import sys

import pytest

import homeport

PROBE = """
import json, sys
import grpc, google.protobuf  # with whatever they need themselves
before = set(sys.modules)
import homeport
tops = {name.partition(".")[0] for name in set(sys.modules) - before}
print(json.dumps(sorted(tops - set(sys.stdlib_module_names))))
"""


def test_the_sdk_needs_grpcio_and_protobuf_alone():
    done = subprocess.run(
        [sys.executable, "-c", PROBE], capture_output=True, text=True, timeout=60, check=True
    )
    assert set(json.loads(done.stdout)) <= {"homeport", "grpc", "google"}


def test_the_version_is_the_distributions():
    assert homeport.__version__ == importlib.metadata.version("homeport")


def test_every_name_that_is_promised_is_there():
    assert [name for name in homeport.__all__ if not hasattr(homeport, name)] == []


@pytest.mark.parametrize(
    ("blocking", "asynchronous"),
    [(homeport.Client, homeport.AsyncClient), (homeport.Unit, homeport.AsyncUnit)],
)
def test_both_clients_take_the_same_arguments(blocking, asynchronous):
    def public(kind):
        return {
            name: [
                (p.name, p.kind, p.default) for p in inspect.signature(member).parameters.values()
            ]
            for name, member in inspect.getmembers(kind, inspect.isfunction)
            if name == "__init__" or not name.startswith("_")
        }

    assert public(blocking) == public(asynchronous)


def test_the_types_are_told_to_type_checkers():
    assert importlib.resources.files("homeport").joinpath("py.typed").is_file()
