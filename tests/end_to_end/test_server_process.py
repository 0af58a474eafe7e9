"""The harness of real servers: one that does not come to serve leaves nothing running."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from control_plane.store.embedded import EmbeddedStore
from tests.support import servers
from tests.support.server_process import START_WITHIN_S, ServerProcess

SILENT = ("-c", "import time; time.sleep(600)")
ENDS = ("-c", "print('why it ended')")


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize(
    ("command", "said"), [(SILENT, ""), (ENDS, "why it ended")], ids=["silent", "ends"]
)
def test_one_that_does_not_serve_is_gone_when_the_test_hears_of_it(
    tmp_path: Path, command: tuple[str, ...], said: str
) -> None:
    within_s = 0.2 if command is SILENT else START_WITHIN_S
    server = ServerProcess(tmp_path, "one", command, start_within_s=within_s)
    with pytest.raises(AssertionError, match=f"did not start:\\n{said}"), server:
        pass
    assert gone(server.process.pid)


def test_a_half_written_ready_file_is_waited_out(tmp_path: Path) -> None:
    whole = json.dumps({"grpc": "a:1", "metrics": "a:2"})
    writes = (
        f"import sys, time; path = sys.argv[1].partition('=')[2]; open(path, 'w').write({whole!r}"
        f"[:9]); time.sleep(0.3); open(path, 'w').write({whole!r}); time.sleep(600)"
    )
    with ServerProcess(tmp_path, "one", ("-c", writes)) as server:
        assert (server.address, server.metrics) == ("a:1", "a:2")


async def test_a_second_server_that_does_not_start_takes_the_first_along(tmp_path: Path) -> None:
    """One store that only one process may have: of two servers one cannot start."""
    store = tmp_path / "store.db"
    with ExitStack() as stack, pytest.raises(AssertionError, match="did not start"):
        servers.start(stack, tmp_path, f"embedded:{store}", 2)
    opened = await EmbeddedStore.open(store)  # nobody has it any more
    await opened.close()
