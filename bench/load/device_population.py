"""A population of devices and browsers whose truth is known: homes behind one address, offices and
carriers behind another, reboots, power cuts, sleep, cookies that are reset, clocks that drift.

Made from a seed alone. Records come in order of time, each as a unit would get it: a report of a
device, or a browser that was seen, with TCP timestamps or an uptime or neither.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from deployment_units.services.device_graph.evidence import WRAP_MS, TcpStamp, Uptime

DAY_MS: Final = 86_400_000
SERVER: Final = "192.0.2.10:443"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How a population is. Shares are of 1; *_days: mean times between."""

    homes: int = 2_000
    carriers: int = 2  # addresses with as many devices as `behind_carrier`
    behind_carrier: int = 60
    days: int = 7
    nothing: float = 0.15  # of observations: no timestamp came
    by_uptime: float = 0.3  # of observations: the page asked the app
    one_shift_each: float = 0.1  # of devices: their kernel shifts each connection by itself
    without_app: float = 0.15  # of devices: nobody reports them
    seen_days: float = 1.0
    reboot_days: float = 6.0
    power_cut_days: float = 90.0
    cookie_days: float = 60.0
    sleep_days: float = 1.0
    drift_ppm: float = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """device: of the truth; browser: empty in a report. came: what tells of its booting."""

    at_ms: int
    block: str
    device: str
    browser: str
    came: Uptime | tuple[TcpStamp, ...]


@dataclass(slots=True, kw_only=True)
class _Device:
    name: str
    block: str
    has_app: bool
    shifts_each: bool
    drift: float
    shift: int
    boot_ms: float
    slept_ms: float = 0.0
    cookies: int = 0
    browsers: list[str] = field(default_factory=list)


def truth(records: list[Record]) -> dict[str, str]:
    """Browsers that could be found, with their device: those seen with a timestamp while their
    device was reported."""
    reported = {one.device for one in records if not one.browser}
    return {
        one.browser: one.device
        for one in records
        if one.browser and one.came != () and one.device in reported
    }


def population(seed: int, shape: Shape | None = None) -> list[Record]:
    """Records in order of time; times from 0, Unix ms."""
    shape = shape or Shape()
    rng = random.Random(seed)
    made: list[Record] = []
    for block, count in _blocks(shape, rng):
        devices = [_device(block, n, shape, rng) for n in range(count)]
        cuts = _times(rng, shape.power_cut_days, shape.days)
        for device in devices:
            made.extend(_life(device, cuts, shape, rng))
    made.sort(key=lambda one: (one.at_ms, one.device, one.browser))
    return made


def _blocks(shape: Shape, rng: random.Random) -> Iterator[tuple[str, int]]:
    for home in range(shape.homes):
        yield f"198.18.{home >> 8}.{home & 255}", rng.choice((1, 1, 2, 2, 3, 4, 5))
    for carrier in range(shape.carriers):
        yield f"198.19.0.{carrier}", shape.behind_carrier


def _device(block: str, number: int, shape: Shape, rng: random.Random) -> _Device:
    name = f"{block}/{number}"
    return _Device(
        name=name,
        block=block,
        has_app=rng.random() >= shape.without_app,
        shifts_each=rng.random() < shape.one_shift_each,
        drift=rng.gauss(0, shape.drift_ppm) / 1e6,
        shift=rng.randrange(WRAP_MS),
        boot_ms=-rng.expovariate(1 / (shape.reboot_days * DAY_MS)),
        browsers=[f"{name}/{n}/0" for n in range(rng.choice((1, 1, 2)))],
    )


def _life(device: _Device, cuts: list[float], shape: Shape, rng: random.Random) -> Iterator[Record]:
    """What is heard of one device, in order of time."""
    happens = [(at, "reboot", 0.0) for at in _times(rng, shape.reboot_days, shape.days)]
    happens += [(at, "reboot", rng.uniform(0, 20_000)) for at in cuts]
    happens += [(at, "seen", 0.0) for at in _times(rng, shape.seen_days, shape.days)]
    happens += [(at, "cookie", 0.0) for at in _times(rng, shape.cookie_days, shape.days)]
    happens += [(at, "sleep", rng.uniform(0, 8 * 3.6e6)) for at in
                _times(rng, shape.sleep_days, shape.days)]  # fmt: skip
    for at, what, more in sorted(happens):
        if what == "reboot":
            device.boot_ms, device.slept_ms, device.shift = at + more, 0.0, rng.randrange(WRAP_MS)
        elif what == "cookie":
            device.cookies += 1
            device.browsers = [
                f"{one.rpartition('/')[0]}/{device.cookies}" for one in device.browsers
            ]
        elif what == "sleep":
            device.slept_ms += more
        elif at > device.boot_ms:
            yield from _seen(device, at, shape, rng)


def _seen(device: _Device, at: float, shape: Shape, rng: random.Random) -> Iterator[Record]:
    """Somebody is at the device: the app reports it, before or after one of its browsers."""
    browser = rng.choice(device.browsers)
    observed = _record(device, at, browser, _came(device, at, shape, rng))
    if not device.has_app:
        yield observed
        return
    report_at = at + rng.uniform(-600_000, 600_000)
    reports = []
    if report_at > device.boot_ms:
        reports.append(_record(device, report_at, "", _uptime(device, report_at, rng)))
        if not device.shifts_each:
            reports.append(_record(device, report_at, "", _stamps(device, report_at, rng)))
    yield from reports
    yield observed


def _came(
    device: _Device, at: float, shape: Shape, rng: random.Random
) -> Uptime | tuple[TcpStamp, ...]:
    draw = rng.random()
    if draw < shape.nothing:
        return ()
    if draw < shape.nothing + shape.by_uptime and device.has_app:
        return _uptime(device, at, rng)
    return _stamps(device, at, rng)


def _record(
    device: _Device, at: float, browser: str, came: Uptime | tuple[TcpStamp, ...]
) -> Record:
    return Record(
        at_ms=round(at), block=device.block, device=device.name, browser=browser, came=came
    )


def _uptime(device: _Device, at: float, rng: random.Random) -> Uptime:
    run = (at - device.boot_ms) * (1 + device.drift)
    return Uptime(uptime_ms=round(run), seen_ms=round(at + _delay(rng)))


def _stamps(device: _Device, at: float, rng: random.Random) -> tuple[TcpStamp, ...]:
    """Of two connections, one after the other."""
    found = []
    for connection in range(2):
        sent = at + connection * rng.uniform(20, 400)
        shift = rng.randrange(WRAP_MS) if device.shifts_each else device.shift
        run = (sent - device.boot_ms) * (1 + device.drift) - device.slept_ms
        found.append(
            TcpStamp(
                connection=connection,
                value=round(run + shift) % WRAP_MS,
                seen_ms=round(sent + _delay(rng)),
            )
        )
    return tuple(found)


def _delay(rng: random.Random) -> float:
    """On its way and until it was read, ms."""
    return rng.lognormvariate(2.7, 0.6)


def _times(rng: random.Random, mean_days: float, days: int) -> list[float]:
    found: list[float] = []
    at = rng.expovariate(1 / (mean_days * DAY_MS))
    while at < days * DAY_MS:
        found.append(at)
        at += rng.expovariate(1 / (mean_days * DAY_MS))
    return found
