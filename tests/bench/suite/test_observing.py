"""The lines for metrics and tracing that the bench takes out of copies of the code."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from bench.suite.measurement import Failed
from bench.suite.observing import CUTS, Cut, without

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("name", CUTS)
def test_what_is_taken_out_is_there_and_what_is_left_is_python(name, tmp_path):
    without(CUTS[name], ROOT, tmp_path)
    for cut in CUTS[name]:
        before, after = ((root / cut.file).read_text() for root in (ROOT, tmp_path))
        assert cut.lines in before
        assert cut.lines not in after
        ast.parse(after)


def test_lines_that_have_changed_are_no_measurement(tmp_path):
    gone = Cut("provisioner/provisioning/provisioner.py", "        no_such_line()\n")
    with pytest.raises(Failed, match="no_such_line"):
        without([gone], ROOT, tmp_path)
