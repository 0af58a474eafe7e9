"""Why a machine cannot run the tests of the charts: one mark for all of them."""

from __future__ import annotations

import os

import pytest

from tests.support.go_programs import HELM_3, HELM_4, is_built
from tests.support.kube.cluster import NEEDED
from tests.support.kube.namespace import is_inside, missing_tools
from tests.support.kube.tools import KUBECTL

_ALL = (*NEEDED, HELM_3, HELM_4)


def _obstacle() -> str:
    """Empty: there is none."""
    if missing := [str(one.path) for one in _ALL if not is_built(one)]:
        return f"no {', '.join(missing)}; `make chart-test` builds them, which takes minutes and Go"
    if not os.access(KUBECTL, os.X_OK):
        return f"no {KUBECTL}; `make chart-test` installs it"
    if missing := missing_tools():
        return f"not on the PATH: {', '.join(missing)} (util-linux, iproute2, bubblewrap)"
    if not is_inside():
        return "only in namespaces of its own; `make chart-test` makes them"
    return ""


def needs_cluster() -> pytest.MarkDecorator:
    """Skips a test with the reason."""
    obstacle = _obstacle()
    return pytest.mark.skipif(bool(obstacle), reason=obstacle)
