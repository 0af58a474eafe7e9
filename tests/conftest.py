"""Fixtures that every test can ask for by name, and what holds for every property test."""

import os
from tempfile import mkdtemp

import pytest
from hypothesis import settings

from control_plane.compiled_modules import are_compiled
from tests.support.compiled_build import BUILD

# Commands keep the keys of clients; those of tests are nobody's.
os.environ["XDG_STATE_HOME"] = mkdtemp(prefix="homeport-tests-")

pytest_plugins = ["tests.support.etcd"]

# How long an example takes says more of the machine than of the code; nothing here is timed.
settings.register_profile("homeport", deadline=None)
settings.load_profile("homeport")


def pytest_configure(config: pytest.Config) -> None:
    """Compiled modules that are not of the sources as they are would be tested in their place."""
    if are_compiled() and (stale := BUILD.stale()):
        pytest.exit(
            f"compiled of other sources: {', '.join(stale)}; `make compiled`, or `make pure`",
            returncode=pytest.ExitCode.USAGE_ERROR,
        )
