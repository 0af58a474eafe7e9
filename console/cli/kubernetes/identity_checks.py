"""Whether programs know each other: tokens that the server has, units that an agent serves,
versions that go together."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from console.cli.health_checks import Finding, fail, ok, warn
from console.cli.kubernetes.addresses import calls_of, programs_behind, service_of
from console.cli.kubernetes.command_lines import Program, programs_of
from console.cli.kubernetes.mounted_files import KeyReference
from console.cli.kubernetes.state import VERSION, ClusterState, listed, name_of, status_of
from control_plane.auth.roles import Role
from control_plane.auth.tokens import TokenEntry, Tokens
from control_plane.errors import ServiceError
from control_plane.fleet.file import parse_fleet

_MOST_FLEET_BYTES = 4 << 20  # a ConfigMap has 1 MiB


def check_tokens(state: ClusterState, now: datetime) -> list[Finding]:
    """What callers here show, against the tokens of the server that they call."""
    programs = programs_of(state)
    faults: list[Finding] = []
    compared = 0
    for server in programs:
        source = server.file(state, "tokens")
        content = source.content(state) if source else None
        if source is None or content is None:
            continue
        try:
            tokens = Tokens.parse(content, f"{source.key} of {source.title}")
        except ServiceError as error:
            faults.append(
                fail("tokens", error.message, "mend it: homeport tokens issue --tokens FILE")
            )
            continue
        for caller in _callers_of(state, server, programs):
            shown = caller.file(state, "token_file")
            token = shown.content(state) if shown else None
            if shown is None or token is None:
                continue
            compared += 1
            faults += _token(
                caller, shown, tokens.find(token.decode("utf-8", "replace").strip()), now, source
            )
    return faults or ([ok("tokens", f"{compared} are known to the servers they are shown to")]
                      if compared else [])  # fmt: skip


def _callers_of(state: ClusterState, server: Program, programs: list[Program]) -> Iterator[Program]:
    for one in programs:
        for call in calls_of(one):
            service = service_of(state, call.host)
            if call.setting == "server" and service and programs_behind(state, service, [server]):
                yield one
                break


def _token(
    caller: Program,
    shown: KeyReference,
    entry: TokenEntry | None,
    now: datetime,
    source: KeyReference,
) -> Iterator[Finding]:
    where = f"the token of {caller.title} ({shown.key} of {shown.title})"
    step = (
        f"homeport tokens issue NAME --role ROLE --tokens FILE; put it into {shown.title}, and "
        f"FILE into {source.title}"
    )
    if entry is None:
        yield fail("tokens", f"{where} is none of those in {source.key} of {source.title}", step)
        return
    if entry.expires_at is not None and entry.expires_at <= now.timestamp():
        yield fail("tokens", f"{where} has expired", "homeport tokens rotate NAME --tokens FILE")
        return
    unit = caller.settings.get("unit")
    if unit and Role.UNIT not in entry.caller.roles:
        yield fail("tokens", f"{where} has not the role unit", step)
    elif unit and unit not in entry.caller.units:
        has = ", ".join(sorted(entry.caller.units))
        yield fail("tokens", f"{where} is for the units {has}, and not for {unit}", step)


def check_units(state: ClusterState) -> list[Finding]:
    """Units that fleet files here declare, or an agent is told to serve, and that none serves."""
    units: dict[str, bool] = {}
    for program in programs_of(state):
        declared = _units_of(state, program)
        ready = int(status_of(program.workload.document).get("readyReplicas") or 0)
        serves = program.workload.kind != "Job" and ready > 0
        for unit in declared:
            units[unit] = units.get(unit, False) or serves
    faults = [
        fail(
            "units",
            f"unit {unit} is declared, and no agent that is ready serves it",
            "get its agent to run (pods above), or take it out: homeport units remove",
        )
        for unit, served in sorted(units.items())
        if not served
    ]
    return faults or ([ok("units", f"agents are ready at all {len(units)}")] if units else [])


def _units_of(state: ClusterState, program: Program) -> list[str]:
    if unit := program.settings.get("unit"):
        return [unit]
    source = program.file(state, "units")
    content = source.content(state) if source else None
    if source is None or content is None or len(content) > _MOST_FLEET_BYTES:
        return []
    try:
        return [
            str(unit.id) for unit in parse_fleet(content.decode("utf-8", "replace"), source.title)
        ]
    except ServiceError:
        return []  # what is wrong with it, its agent says


def check_program_versions(state: ClusterState, here: str) -> list[Finding]:
    """Versions of pods against each other and this command; here: of this command. A pod's own
    word counts, else its label, else the tag of its image."""
    found: dict[str, str] = {}
    for pod in state.live_pods():
        scraped = state.scrapes.get(name_of(pod))
        labels = (pod.get("metadata") or {}).get("labels") or {}
        images = [str(one.get("image", "")) for one in listed(pod, "spec", "containers")]
        own = [image for image in images if "homeport" in image.rpartition("/")[2]]
        version = (scraped.version if scraped else None) or labels.get(VERSION)
        if not version and own:
            version = own[0].partition("@")[0].rpartition("/")[2].partition(":")[2]
        if version and (own or scraped) and version[0].isdigit():
            found[name_of(pod)] = version
    minors = {_minor(version) for version in found.values()}
    if not found:
        return []
    if len(minors) > 1:
        listing = ", ".join(f"{pod} {version}" for pod, version in sorted(found.items())[:6])
        return [
            fail(
                "versions",
                f"pods of different minor versions: {listing}",
                "upgrade one minor version at a time, servers first, then agents and platforms",
            )
        ]
    if _minor(here) not in minors:
        there = next(iter(found.values()))
        return [
            warn("versions", f"this command is {here}, the pods {there}", "install the command of "
                 "the pods' minor version")
        ]  # fmt: skip
    return [ok("versions", f"{', '.join(sorted(set(found.values())))} in all pods")]


def _minor(version: str) -> str:
    return ".".join(version.removeprefix("v").split(".")[:2])
