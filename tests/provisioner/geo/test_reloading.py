"""A new geo file counts while calls go on; a broken one is refused and the old one serves."""

import asyncio
import hashlib
import os
import threading
from pathlib import Path

import pytest

from provisioner.geo.address import parse
from provisioner.geo.database import GeoDatabase, GeoDatabaseError
from provisioner.geo.reloading import GeoReloader
from tests.support.mmdb import flat_record, write_mmdb

DATA = Path(__file__).parents[2] / "data" / "geo"
CITY = DATA / "GeoLite2-City-Test.mmdb"
COUNTRY = DATA / "GeoLite2-Country-Test.mmdb"
HERE = parse("1.2.3.4")


def one_country(code: str) -> bytes:
    """A database that knows 1.0.0.0/8 to be there."""
    return write_mmdb({"1.0.0.0/8": flat_record(code, 10.0, 20.0)})


def replace(path: Path, content: bytes) -> None:
    """As careful people do it: another file, renamed over the old one."""
    scratch = path.with_name(path.name + ".new")
    scratch.write_bytes(content)
    scratch.replace(path)


async def test_a_new_file_counts_under_load_and_a_broken_one_does_not(tmp_path):
    path = tmp_path / "live.mmdb"
    path.write_bytes(COUNTRY.read_bytes())
    reloader = GeoReloader.open(path)
    stop, failures, looked = threading.Event(), [], [0]

    def hammer() -> None:
        address = parse("81.2.69.142")
        while not stop.is_set():
            try:
                assert reloader().find(address).country == "GB"
                looked[0] += 1
            except Exception as error:  # noqa: BLE001 - any failed call fails the test
                failures.append(error)

    threads = [threading.Thread(target=hammer) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        fresh = tmp_path / "fresh.mmdb"
        fresh.write_bytes(CITY.read_bytes())
        fresh.replace(path)
        assert await reloader.poll()
        assert reloader().info.database_type == "GeoLite2-City"
        for content in (b"junk", CITY.read_bytes()[:9000], b""):
            path.write_bytes(content)  # in place, under the readers
            assert not await reloader.poll()
            assert reloader().info.database_type == "GeoLite2-City"
            await asyncio.sleep(0)
        path.write_bytes(COUNTRY.read_bytes())
        assert await reloader.poll()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert reloader().info.database_type == "GeoLite2-Country"
    assert reloader.refusals == 3
    assert "live.mmdb" in reloader.last_refusal
    assert failures == []
    assert looked[0] > 0


async def test_an_unchanged_file_is_not_read_again(tmp_path):
    path = tmp_path / "x.mmdb"
    path.write_bytes(one_country("IE"))
    reloader = GeoReloader.open(path)
    first = reloader()
    assert not await reloader.poll()
    assert reloader() is first


async def test_a_file_that_goes_away_keeps_serving_and_counts_when_it_is_back(tmp_path):
    path = tmp_path / "x.mmdb"
    path.write_bytes(one_country("IE"))
    reloader = GeoReloader.open(path)
    path.unlink()
    assert not await reloader.poll()
    assert reloader().find(HERE).country == "IE"
    replace(path, one_country("FR"))
    assert await reloader.poll()
    assert reloader().find(HERE).country == "FR"
    assert (reloader.swaps, reloader.refusals) == (1, 0)


async def test_a_refused_file_is_read_once_and_not_at_every_look(tmp_path):
    path = tmp_path / "x.mmdb"
    path.write_bytes(one_country("IE"))
    reloader = GeoReloader.open(path)
    replace(path, b"junk")
    for _ in range(3):
        assert not await reloader.poll()
    assert reloader.refusals == 1


async def test_a_checksum_written_after_its_file_lets_the_file_in(tmp_path):
    path, sidecar = tmp_path / "x.mmdb", tmp_path / "x.mmdb.sha256"
    path.write_bytes(one_country("IE"))
    sidecar.write_text(hashlib.sha256(one_country("IE")).hexdigest())
    reloader = GeoReloader.open(path)
    replace(path, one_country("FR"))
    assert not await reloader.poll()
    assert "does not match its checksum" in reloader.last_refusal
    replace(sidecar, hashlib.sha256(one_country("FR")).hexdigest().encode())
    assert await reloader.poll()
    assert reloader().find(HERE).country == "FR"


async def test_a_file_that_comes_while_the_first_one_is_read_is_not_missed(tmp_path):
    """The first file is a pipe: while the reloader reads it, another file takes its name."""
    path = tmp_path / "x.mmdb"
    os.mkfifo(path)

    def feed() -> None:
        with path.open("wb") as pipe:
            pipe.write(one_country("IE"))
            replace(path, one_country("FR"))

    feeding = threading.Thread(target=feed)
    feeding.start()
    reloader = await asyncio.wait_for(asyncio.to_thread(GeoReloader.open, path), 10)
    feeding.join()
    assert reloader().find(HERE).country == "IE"
    assert await reloader.poll()
    assert reloader().find(HERE).country == "FR"


async def test_it_looks_by_itself(tmp_path):
    path = tmp_path / "x.mmdb"
    path.write_bytes(one_country("IE"))
    reloader = GeoReloader.open(path, interval_s=0.001)
    looking = asyncio.create_task(reloader.run())
    replace(path, one_country("FR"))
    async with asyncio.timeout(10):
        while reloader.swaps == 0:  # noqa: ASYNC110 - what changes it is a thread's result
            await asyncio.sleep(0.001)
    looking.cancel()
    assert reloader().find(HERE).country == "FR"


async def test_the_bundled_database_never_changes():
    reloader = GeoReloader(None, GeoDatabase.open())
    assert not await reloader.poll()


def test_a_server_does_not_start_with_a_broken_file(tmp_path):
    path = tmp_path / "x.mmdb"
    path.write_bytes(one_country("IE")[:50])
    with pytest.raises(GeoDatabaseError):
        GeoReloader.open(path)
