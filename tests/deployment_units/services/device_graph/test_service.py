"""DeviceService: consent, reports and browsers in either order, edges and their end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from control_plane.errors import InvalidInput, NotFound, PermissionDenied, Unauthenticated
from control_plane.quotas.token_buckets import Rate
from deployment_units.services.device_graph.graph import EDGE_MS
from deployment_units.services.device_graph.kept import (
    MAX_DEVICES,
    PART,
    NoConsent,
    TooManyDevices,
)
from deployment_units.services.device_graph.linking import MOST_DECIDED
from deployment_units.services.device_graph.matching import SESSION_MS
from deployment_units.services.device_graph.service import TooMuchReported
from homeport.api.communication.v1 import device_pb2 as pb
from tests.support.account_units import TENANT, AccountUnit
from tests.support.observed_devices import (
    BROWSER,
    ELSEWHERE,
    NAMED,
    OTHER_UP,
    SITE,
    UP,
    Call,
    Devices,
    devices,
)


@pytest.mark.parametrize("report_first", [True, False])
async def test_a_browser_and_a_report_match_in_either_order(
    tmp_path: Path, report_first: bool
) -> None:
    async with devices(tmp_path) as at:
        await at.agree("anna")
        if report_first:
            assert (await at.report("anna")).matched == 0
            await at.observe()
        else:
            await at.observe()
            assert (await at.report("anna")).matched == 1
        assert await at.edges("anna") == {"phone": [NAMED]}
        # From then on, whoever is in that browser is anna, wherever it is.
        at.active.clear()
        await at.observe(up=None, address=ELSEWHERE)
        assert at.active == ["anna"]
        assert await at.edges("ben") == {}
        assert at.service.observed["no_boot"] == 1
        assert at.service.observed["linked" if report_first else "not_here"] == 1


async def test_nothing_is_kept_without_consent_and_nothing_stays_without(tmp_path: Path) -> None:
    async with devices(tmp_path) as at:
        with pytest.raises(NoConsent, match="SetConsent"):
            await at.report("anna")
        with pytest.raises(InvalidInput, match="purpose"):
            await at.service.Observe(
                pb.ObserveRequest(tenant=TENANT, site=SITE, browser=BROWSER, uptime=UP), at.by("x")
            )
        assert rows(at.unit) == 0
        await at.agree("anna")
        await at.report("anna")
        await at.observe()
        assert at.active == ["anna"]
        after = await at.agree("anna", given=False)
        assert at.active == []
        assert [(one.device, len(one.browsers)) for one in after.devices] == [("phone", 0)]
        await at.observe()
        await at.agree("anna")
        assert await at.edges("anna") == {"phone": []}


async def test_another_address_another_boot_or_another_tenants_device_is_no_match(
    tmp_path: Path,
) -> None:
    async with devices(tmp_path) as at:
        await at.agree("anna")
        await at.report("anna")
        await at.observe(address=ELSEWHERE)
        await at.observe(up=OTHER_UP, browser="another-0123456789")
        assert await at.edges("anna") == {"phone": []}
        with pytest.raises(PermissionDenied):
            await at.service.Observe(
                pb.ObserveRequest(
                    tenant="bank", site=SITE, browser=BROWSER, purpose=pb.PURPOSE_REACH
                ),
                at.by("anna"),
            )


async def test_two_accounts_devices_that_booted_together_leave_it_open(tmp_path: Path) -> None:
    async with devices(tmp_path) as at:
        for account in ("anna", "ben"):
            await at.agree(account)
            await at.report(account)
        await at.observe()
        assert await at.edges("anna") == await at.edges("ben") == {"phone": []}
        said = await explain(at, "anna")
        assert list(said.ambiguous) == ["phone"]
        assert "ben" not in str(said)


async def test_a_browser_that_moves_to_another_accounts_device_goes_over_none(
    tmp_path: Path,
) -> None:
    async with devices(tmp_path) as at:
        for account, up in (("anna", UP), ("ben", OTHER_UP)):
            await at.agree(account)
            await at.report(account, up=up)
        await at.observe()
        await at.observe(up=OTHER_UP)
        assert await at.edges("anna") == await at.edges("ben") == {"phone": []}
        await at.observe(up=OTHER_UP)
        assert await at.edges("ben") == {"phone": [NAMED]}
        with pytest.raises(NotFound):  # of ben's devices anna learns nothing
            await explain(at, "carla")


async def test_an_edge_whose_time_is_over_contradicts_nothing(tmp_path: Path) -> None:
    async with devices(tmp_path) as at:
        for account, up in (("anna", UP), ("ben", OTHER_UP)):
            await at.agree(account)
            await at.report(account, up=up)
            if account == "anna":
                await at.observe(up=up)
                assert await at.edges("anna") == {"phone": [NAMED]}
                at.unit.now += EDGE_MS // 1_000
        await at.observe(up=OTHER_UP)
        assert await at.edges("ben") == {"phone": [NAMED]}


async def test_where_any_device_was_is_forgotten_after_a_day(tmp_path: Path) -> None:
    async with devices(tmp_path) as at:
        await at.agree("anna")
        await at.report("anna", "laptop")
        at.unit.now += SESSION_MS // 1_000
        await at.report("anna", "phone", up=OTHER_UP)
        found = at.unit.database.read(
            lambda db: db.execute("SELECT device FROM device_sessions").fetchall()
        )
        assert found == [("phone",)]


async def test_an_edge_that_was_taken_back_does_not_come_again(tmp_path: Path) -> None:
    async with devices(tmp_path) as at:
        await at.agree("anna")
        await at.report("anna")
        await at.observe()
        assert "within 0 ms" in (await explain(at, "anna")).why
        request = pb.UnlinkRequest(browser=NAMED, device="phone")
        for _ in range(2):
            after = await at.service.Unlink(request, at.by("anna"))
            assert len(after.devices[0].browsers) == 0
        await at.observe()
        await at.report("anna")
        assert await at.edges("anna") == {"phone": []}
        with pytest.raises(NotFound, match="GetMap"):
            await at.service.Unlink(pb.UnlinkRequest(browser=NAMED, device="tv"), at.by("anna"))


async def test_a_reboot_is_the_same_device(tmp_path: Path) -> None:
    async with devices(tmp_path) as at:
        await at.agree("anna")
        await at.report("anna", up=OTHER_UP)
        await at.report("anna", up=UP)
        await at.observe(up=OTHER_UP)
        await at.observe(up=UP, browser="another-0123456789")
        found = await at.edges("anna")
        assert found == {"phone": [f"{SITE}/another-0123456789", NAMED]}


async def test_what_contradicts_makes_nobody_active(tmp_path: Path) -> None:
    async with devices(tmp_path) as at:
        await at.agree("anna")
        await at.report("anna")
        await at.observe()
        at.active.clear()
        await at.observe(up=OTHER_UP)
        assert at.active == []
        await at.observe(up=None)
        assert at.active == ["anna"]
        await at.service.Unlink(pb.UnlinkRequest(browser=NAMED, device="phone"), at.by("anna"))
        assert at.active == []


async def test_a_report_decides_on_so_many_that_wait_and_the_next_on_the_others(
    tmp_path: Path,
) -> None:
    async with devices(tmp_path) as at:
        await at.agree("anna")
        for number in range(MOST_DECIDED + 5):
            at.seconds += 1
            await at.observe(browser=f"browser-{number:012}")
        assert (await at.report("anna")).matched == MOST_DECIDED
        assert (await at.report("anna")).matched == 5


async def test_devices_that_boot_too_often_are_not_believed(tmp_path: Path) -> None:
    """Who steps through boots would learn which browsers are at its address."""
    async with devices(tmp_path) as at:
        await at.agree("anna")
        for number in range(64):
            at.seconds += 1
            await at.report("anna", up=Duration(seconds=10_000 + 10 * number))
        at.seconds += 1
        with pytest.raises(TooMuchReported, match="booted too often"):
            await at.report("anna", up=Duration(seconds=20_000))
        await at.report("anna", up=Duration(seconds=10_000 + 10 * 63))


async def test_from_nowhere_in_particular_nothing_matches(tmp_path: Path) -> None:
    async with devices(tmp_path) as at:
        await at.agree("anna")
        here = at.by("anna")
        here.peer = lambda: "unix:"
        request = pb.ReportDeviceRequest(device="phone", uptime=UP)
        assert list((await at.service.ReportDevice(request, here)).sources) == []
        seen = pb.ObserveRequest(
            tenant=TENANT, site=SITE, browser=BROWSER, purpose=pb.PURPOSE_REACH, uptime=UP
        )
        await at.service.Observe(seen, here)
        assert await at.edges("anna") == {"phone": []}


async def test_erase_leaves_no_row(tmp_path: Path) -> None:
    async with devices(tmp_path) as at:
        for account, up in (("anna", UP), ("ben", OTHER_UP)):
            await at.agree(account)
            await at.report(account, up=up)
        await at.observe()
        await at.observe(up=OTHER_UP, browser="another-0123456789")
        request = pb.UnlinkRequest(browser=f"{SITE}/wanted-no-more-0001", device="phone")
        await at.service.Unlink(request, at.by("anna"))
        of_ben = rows(at.unit, "ben")
        erased = await at.service.Erase(pb.EraseRequest(), at.by("anna"))
        assert erased.rows > 4
        assert rows(at.unit, "anna") == 0
        assert rows(at.unit, "ben") == of_ben > 0


async def test_two_connections_tell_what_one_does_not(tmp_path: Path) -> None:
    """As a kernel counts whose shift is of the pair of addresses."""
    async with devices(tmp_path) as at:
        await at.agree("anna")
        request = pb.ReportDeviceRequest(device="phone")
        first = await at.service.ReportDevice(request, at.stamped(at.by("anna"), 1, 77_000))
        assert (first.again, list(first.sources)) == (True, [])
        at.unit.now += 2
        second = await at.service.ReportDevice(request, at.stamped(at.by("anna"), 2, 79_010))
        assert (second.again, list(second.sources)) == (False, [pb.BOOT_SOURCE_TCP])
        seen = pb.ObserveRequest(
            tenant=TENANT, site=SITE, browser=BROWSER, purpose=pb.PURPOSE_REACH
        )
        for connection in (3, 4):
            at.unit.now += 1
            call = at.stamped(Call(), connection, 77_000 + connection * 1_000)
            answer = await at.service.Observe(seen, call)
            assert answer.again == (connection == 3)
        assert await at.edges("anna") == {"phone": [NAMED]}


async def test_bounds(tmp_path: Path) -> None:
    async with devices(tmp_path) as at:
        await at.agree("anna")
        for number in range(MAX_DEVICES):
            at.seconds += 1
            await at.report("anna", f"device-{number}")
        at.seconds += 1
        with pytest.raises(TooManyDevices):
            await at.report("anna", "one-more")
        for _ in range(60):
            await at.observe(up=None)
        with pytest.raises(TooMuchReported) as caught:
            await at.observe(up=None)
        assert caught.value.retry_after_s
        await at.observe(up=None, address=ELSEWHERE)
        removed = await at.service.RemoveDevice(
            pb.RemoveDeviceRequest(device="device-0"), at.by("anna")
        )
        assert len(removed.devices) == MAX_DEVICES - 1


async def test_of_one_network_no_more_is_seen_however_many_addresses_it_has(
    tmp_path: Path,
) -> None:
    async with devices(tmp_path, Rate(per_s=1.0, burst=3.0)) as at:
        for number in range(3):
            await at.observe(up=None, address=f"ipv6:[2001:db8:0:{number}::1]")
        with pytest.raises(TooMuchReported, match="from there"):
            await at.observe(up=None, address="ipv6:[2001:db8:0:7::1]")
        await at.observe(up=None, address="ipv6:[2001:db8:1:7::1]")


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.ReportDeviceRequest(device="a b", uptime=UP), "device"),
        (pb.ReportDeviceRequest(device="x" * 65, uptime=UP), "device"),
        (pb.ReportDeviceRequest(device="x", uptime=Duration(seconds=-1)), "uptime"),
        (pb.ReportDeviceRequest(device="x", uptime=Duration(seconds=1 << 40)), "uptime"),
        (pb.ReportDeviceRequest(device="x", uptime=Duration(seconds=1, nanos=-5)), "uptime"),
        (pb.ReportDeviceRequest(device="x", label="l" * 65), "label"),
    ],
)
async def test_what_is_no_report(
    tmp_path: Path, request_: pb.ReportDeviceRequest, field: str
) -> None:
    async with devices(tmp_path) as at:
        await at.agree("anna")
        with pytest.raises(InvalidInput) as caught:
            await at.service.ReportDevice(request_, at.by("anna"))
        assert caught.value.field == field


async def test_strangers_observe_and_nothing_more(tmp_path: Path) -> None:
    async with devices(tmp_path) as at:
        stranger: Any = Call()
        for method, request in [
            (at.service.SetConsent, pb.SetConsentRequest(purpose=pb.PURPOSE_REACH)),
            (at.service.ReportDevice, pb.ReportDeviceRequest(device="phone")),
            (at.service.GetMap, pb.GetMapRequest()),
            (at.service.Explain, pb.ExplainBrowserRequest(browser=NAMED)),
            (at.service.Unlink, pb.UnlinkRequest(browser=NAMED, device="phone")),
            (at.service.RemoveDevice, pb.RemoveDeviceRequest(device="phone")),
            (at.service.Erase, pb.EraseRequest()),
        ]:
            with pytest.raises(Unauthenticated):
                await method(request, stranger)


async def test_the_graph_moves_with_its_account(tmp_path: Path) -> None:
    async with devices(tmp_path / "one") as at:
        await at.agree("anna")
        await at.report("anna")
        await at.observe()
        stream = b"".join([one async for one in at.unit.state.export(TENANT, "anna")])
        async with devices(tmp_path / "two") as there:
            incoming = await there.unit.state.begin(TENANT, "anna", 2)
            await incoming.append(stream)
            await incoming.commit()
            assert rows(there.unit, "anna") == rows(at.unit, "anna") > 3


async def explain(at: Devices, account: str) -> pb.ExplainBrowserResponse:
    return await at.service.Explain(pb.ExplainBrowserRequest(browser=NAMED), at.by(account))


def rows(unit: AccountUnit, account: str | None = None) -> int:
    """Of the part, all or an account's, and of browsers that wait with edges of theirs."""
    of = "" if account is None else (
        f" WHERE owner IN (SELECT owner FROM owners WHERE account = '{account}')"
    )  # fmt: skip
    return sum(
        unit.database.read(
            lambda db, name=table.name: db.execute(f"SELECT count(*) FROM {name}{of}").fetchone()[0]
        )
        for table in PART.tables
    )
