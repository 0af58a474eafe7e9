"""What only the blocking client has to promise: threads, and fork()."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import homeport
from homeport.credentials import ClientCredentials
from homeport.sync_calls import SyncCalls
from tests.sdk.client_harness import QUICK


def test_one_client_serves_many_threads(server, service):
    with homeport.Client(server.address) as client, ThreadPoolExecutor(8) as threads:
        homes = list(threads.map(client.provision, (f"phone-{n}" for n in range(200))))
    assert [home.client_id for home in homes] == [f"phone-{n}" for n in range(200)]
    assert len(service.homes) == 200


def test_threads_may_each_have_a_stream(server):
    def provision(start: int) -> list[str]:
        ids = (f"phone-{n}" for n in range(start, start + 30))
        return [r.client_id for r in client.provision_many(ids, batch_size=10) if r.ok]

    with homeport.Client(server.address) as client, ThreadPoolExecutor(4) as threads:
        done = list(threads.map(provision, range(0, 120, 30)))
    assert [len(ids) for ids in done] == [30] * 4


def stream_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "homeport stream"]


def test_a_stream_that_ends_leaves_no_thread_behind(server):
    with homeport.Client(server.address) as client:
        assert len(list(client.provision_many(f"phone-{n}" for n in range(10)))) == 10
        assert stream_threads() == []


def test_a_stream_that_hangs_leaves_no_thread_behind(server, service):
    service.hang()
    with homeport.Client(server.address) as client:
        with pytest.raises(homeport.DeadlineExceeded):
            list(client.provision_many(["phone"], timeout_s=0.1))
        assert stream_threads() == []


def test_closing_ends_the_wait_for_the_next_try():
    calls = SyncCalls(tls=None, shown=ClientCredentials(tenant="default"), cache=None)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(calls.wait, 15.0)
        calls.close()
        with pytest.raises(RuntimeError, match="this client is closed"):
            waiting.result()


def test_closing_ends_a_stream_under_way(server, service):
    service.hang()
    client = homeport.Client(server.address, retry=QUICK)
    with ThreadPoolExecutor(1) as threads:
        under_way = threads.submit(lambda: list(client.provision_many(["phone"])))
        assert service.called.wait(10.0)
        client.close()
        with pytest.raises(RuntimeError, match="this client is closed"):
            under_way.result(timeout=10.0)


def test_an_error_of_the_source_comes_through(server):
    def clients():
        yield "phone"
        raise LookupError("the file ended in the middle of a line")

    with homeport.Client(server.address) as client, pytest.raises(LookupError, match="middle"):
        list(client.provision_many(clients()))


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_client_that_came_through_fork_says_so(server):
    client = homeport.Client(server.address)
    client.provision("phone")
    child = os.fork()
    if child == 0:
        status = 1
        try:
            client.provision("phone")
        except RuntimeError as error:
            status = 0 if "fork()" in str(error) else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert client.provision("phone").existing
    client.close()


def test_a_unit_may_be_kept(server):
    with homeport.Unit(server.address) as unit, pytest.raises(homeport.Unsupported):
        unit.admit("ticket")
