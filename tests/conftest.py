"""Fixtures that every test can ask for by name, and what holds for every property test."""

import os
from tempfile import mkdtemp

from hypothesis import settings

# Commands keep the keys of clients; those of tests are nobody's.
os.environ["XDG_STATE_HOME"] = mkdtemp(prefix="homeport-tests-")

pytest_plugins = ["tests.support.etcd"]

# How long an example takes says more of the machine than of the code; nothing here is timed.
settings.register_profile("homeport", deadline=None)
settings.load_profile("homeport")
