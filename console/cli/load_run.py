"""The body of `homeport load`: reads its options, runs the load, shows and writes its result."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from console.cli.failure import CommandFailed, ExitCode
from console.cli.input.durations import duration_s
from console.cli.load_fleet import FleetSampler
from console.cli.load_processors import ProcessorSampler
from console.cli.load_progress import live_progress
from console.cli.output import Format, note, show
from console.cli.profile import Target
from console.cli.views.load import load_view
from control_plane.errors import InvalidInput
from control_plane.files import replace_file
from control_plane.printable import why_unreadable
from control_plane.secret_files import read_secret
from control_plane.written_paths import check_written_file
from homeport.endpoints import parse_servers
from provisioner.geo.database import GeoDatabase
from simulation.load.calls import Callers
from simulation.load.connections import LoadServers
from simulation.load.counts import LoadSecond
from simulation.load.events.event_kinds import (
    EventSettings,
    event_settings_of,
    parse_event_mix,
)
from simulation.load.junit import junit_text
from simulation.load.processes import LoadFailed, LoadJob, LoadProcesses
from simulation.load.report.page import held_result, report_page
from simulation.load.result import result_document
from simulation.load.settings import LoadSettings, Scenario, settings_of
from simulation.load.thresholds import MOST, Threshold, parse_threshold
from simulation.load.user_kinds import parse_mix

MOST_REPORT = 64 << 20  # bytes of a report that is read
RETRIES_OF_HERDS = 8
HTTP_SHARE = 0.5  # of events, where an HTTP server is named


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """As the command line has them; None: not given."""

    scenario: str | None
    users: int | None
    rate_per_s: float | None
    duration: str | None
    mix: str | None
    herd_within: str | None
    retries: int | None
    give_up_after: str | None
    seed: int | None
    processes: int | None
    connections: int | None
    thresholds: tuple[str, ...]
    report: Path | None
    junit: Path | None
    from_report: Path | None
    metrics: tuple[str, ...]
    group: str | None
    group_key_file: Path | None
    forwarded: bool
    geo: Path | None
    events: bool = False
    http_server: str | None = None
    http_share: float | None = None
    rules: int | None = None
    plans: int | None = None

    def read(self) -> PreparedLoad:
        """What they come to. Raises InvalidInput for what is wrong with them, and with the files
        that they name; nobody was asked then."""
        if (self.group is None) != (self.group_key_file is None):
            raise InvalidInput("group", "--group and --group-key-file go together")
        if self.forwarded and self.group is None:
            raise InvalidInput(
                "forwarded", "--forwarded needs --group; a gateway says where users are"
            )
        if self.metrics:
            metrics = _told("metrics", lambda: parse_servers(",".join(self.metrics)))
            if any(":" not in one for one in self.metrics):
                raise InvalidInput("metrics", "--metrics: name a metrics port as host:port")
            if len(metrics) > MOST:
                raise InvalidInput("metrics", f"there are more than {MOST} metrics ports")
        if len(self.thresholds) > MOST:
            raise InvalidInput("threshold", f"there are more than {MOST} thresholds")
        if self.geo is not None:
            GeoDatabase.open(self.geo)
        for path, flag in ((self.report, "--report"), (self.junit, "--junit")):
            if path is not None:
                check_written_file(path, flag)
        events = _told("load", self._event_settings)
        for flag, value in (
            ("http-server", self.http_server), ("http-share", self.http_share),
            ("rules", self.rules), ("plans", self.plans),
        ):  # fmt: skip
            if value is not None and events is None:
                raise InvalidInput(flag, f"--{flag} is for --events")
        if self.http_share is not None and self.http_server is None:
            raise InvalidInput("http-share", "--http-share needs --http-server")
        if self.http_server is not None:
            http = _told("http-server", lambda: parse_servers(self.http_server or ""))
            if len(http) != 1 or ":" not in self.http_server:
                raise InvalidInput("http-server", "--http-server: name one server as host:port")
        if events is not None and self.group is not None:
            raise InvalidInput("group", "--group is for calls for a home, not for --events")
        return PreparedLoad(
            settings=_told("load", self._settings),
            events=events,
            thresholds=tuple(
                _told("threshold", lambda text=text: parse_threshold(text))  # type: ignore[misc]
                for text in self.thresholds
            ),
            options=self,
            group_key=(
                read_secret("group-key-file", self.group_key_file) if self.group_key_file else ""
            ),
        )

    def _event_settings(self) -> EventSettings | None:
        """None: users call for a home."""
        held = _held(self.from_report).get("events") if self.from_report is not None else None
        if not self.events and held is None:
            return None
        given: dict[str, Any] = {} if held is None else dict(event_settings_of(held).document())
        if self.mix is not None:
            mix = parse_event_mix(self.mix)
            given["mix"] = {kind.word: weight for kind, weight in mix.items()}
        if self.http_server is None:
            given["http_share"] = 0.0
        elif self.http_share is not None:
            given["http_share"] = self.http_share / 100
        elif not given.get("http_share"):
            given["http_share"] = HTTP_SHARE
        for name in ("rules", "plans"):
            if getattr(self, name) is not None:
                given[name] = getattr(self, name)
        return event_settings_of({**EventSettings().document(), **given})

    def _settings(self) -> LoadSettings:
        given: dict[str, Any] = {}
        events = self.events
        if self.from_report is not None:
            held = _held(self.from_report)
            given = _told("from-report", lambda: settings_of(held["settings"])).document()
            events = events or "events" in held
        for name in ("scenario", "users", "rate_per_s", "retries", "seed", "processes",
                     "connections"):  # fmt: skip
            if getattr(self, name) is not None:
                given[name] = getattr(self, name)
        for name, text in (
            ("duration_s", self.duration),
            ("herd_within_s", self.herd_within),
            ("timeout_s", self.give_up_after),
        ):
            if text is not None:
                given[name] = duration_s(text)
        if self.mix is not None and not events:
            given["mix"] = {kind.word: weight for kind, weight in parse_mix(self.mix).items()}
        given.setdefault("scenario", Scenario.CONSTANT.value)
        if given["scenario"] == Scenario.HERD.value:
            given.setdefault("retries", RETRIES_OF_HERDS)
        return settings_of({"mix": {}, **given})


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedLoad:
    """All that was read before anybody is asked."""

    settings: LoadSettings
    thresholds: tuple[Threshold, ...]
    options: LoadOptions
    group_key: str
    events: EventSettings | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What was seen of a load; known, homeless: users who have, or found no, home before it."""

    seconds: list[LoadSecond]
    known: int
    homeless: int
    prepared_s: float
    interrupted: bool


def play(job: LoadJob, metrics: Sequence[str], begin: Callable[[], None] = lambda: None) -> Played:
    """Runs a load. begin: called as the clock starts. Raises CommandFailed where it cannot be
    made, KeyboardInterrupt where it is interrupted before anything was seen."""
    seconds: list[LoadSecond] = []
    known = homeless = 0
    prepared_s = 0.0
    interrupted = False
    servers = ProcessorSampler(metrics)
    with live_progress(job.settings) as progress, servers:
        try:
            with LoadProcesses(job) as processes:
                preparing_s = time.monotonic()
                known, homeless = processes.prepare(progress.prepared)
                prepared_s = time.monotonic() - preparing_s
                begin()
                for second in processes.seconds():
                    second.server_cpu = servers.busiest
                    seconds.append(second)
                    progress.passed(second)
        except LoadFailed as error:
            raise CommandFailed(str(error), ExitCode.UNAVAILABLE) from error
        except KeyboardInterrupt:
            if not seconds:
                raise
            interrupted = True
    return Played(
        seconds=seconds,
        known=known,
        homeless=homeless,
        prepared_s=round(prepared_s, 1),
        interrupted=interrupted,
    )


def run(prepared: PreparedLoad, target: Target, output: Format) -> None:
    """Runs it. Raises CommandFailed with exit code 1 where a threshold is broken, after all is
    shown and written."""
    settings, options = prepared.settings, prepared.options
    began = datetime.now(UTC)
    callers = Callers(
        tenant=target.tenant,
        run=secrets.token_hex(4),
        token=target.token,
        group=options.group or "",
        group_key=prepared.group_key,
        forwarded=options.forwarded,
    )
    fleet = FleetSampler(target, settings.duration_s)
    job = LoadJob(
        settings=settings,
        servers=LoadServers(
            addresses=target.servers,
            ca=target.ca,
            certificate=target.certificate,
            key=target.certificate_key,
        ),
        callers=callers,
        geo=options.geo,
    )
    with fleet:
        played = play(job, options.metrics, fleet.begin)
    result = result_document(
        settings,
        played.seconds,
        prepared=played.known,
        homeless=played.homeless,
        about={
            "began": began.isoformat(timespec="seconds"),
            "servers": list(target.servers),
            "tenant": target.tenant,
            "as": "clients" if options.group else "gateway",
            "run": callers.run,
            "interrupted": played.interrupted,
            "prepared_s": played.prepared_s,
            **fleet.document(),
        },
    )
    finish(prepared, result, output)


def finish(prepared: PreparedLoad, result: dict[str, Any], output: Format) -> None:
    """Shows a run's result, and writes what was asked for. Raises CommandFailed with exit code 1
    where a threshold is broken, KeyboardInterrupt where it was interrupted."""
    options = prepared.options
    held = [one.held_against(result) for one in prepared.thresholds]
    result["thresholds"] = [
        {"threshold": one.threshold.text, "value": one.value, "held": one.holds,
         "sentence": one.sentence}
        for one in held
    ]  # fmt: skip
    show(result, output, lambda: load_view(result))
    if options.report is not None:
        replace_file(options.report, report_page(result).encode())
        note(f"the report is in {options.report}")
    if options.junit is not None:
        replace_file(options.junit, junit_text(result).encode())
    if result["interrupted"]:
        raise KeyboardInterrupt
    broken = [one.sentence for one in held if not one.holds]
    if broken:
        raise CommandFailed(f"thresholds are broken: {'; '.join(broken)}")


def _told(setting: str, make: Callable[[], Any]) -> Any:
    """What `make` gives; its ValueErrors as those of a setting."""
    try:
        return make()
    except ValueError as error:
        raise InvalidInput(setting, f"{setting}: {error}") from error


def _held(path: Path) -> Mapping[str, Any]:
    """The document of a report. Raises InvalidInput."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_REPORT + 1)
    except OSError as error:
        raise InvalidInput(
            "from-report", f"--from-report {path} cannot be read: {why_unreadable(error)}"
        ) from error
    try:
        if len(content) > MOST_REPORT:
            raise ValueError(f"it has more than {MOST_REPORT >> 20} MiB")
        return held_result(content.decode("utf-8", "replace"))
    except ValueError as error:
        raise InvalidInput(
            "from-report", f"--from-report {path}: {error}; name a file that --report wrote"
        ) from error
