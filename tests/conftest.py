"""Fixtures that every test can ask for by name, and what holds for every property test."""

from hypothesis import settings

pytest_plugins = ["tests.support.etcd"]

# How long an example takes says more of the machine than of the code; nothing here is timed.
settings.register_profile("homeport", deadline=None)
settings.load_profile("homeport")
