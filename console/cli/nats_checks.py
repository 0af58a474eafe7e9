"""Health checks of the NATS servers that keep feeds. Pure: what their monitoring said in, findings
out.

A stream is judged by what its leader says: other members know the rest only by hearsay.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from console.cli.health_checks import Finding, fail, ok, warn
from control_plane.printable import number_of

OLDEST = (2, 12)
REPLICAS = 3
LITTLE, TOO_LITTLE = 0.2, 0.05  # of a server's storage, that is left


@dataclass(frozen=True, slots=True, kw_only=True)
class NatsServer:
    """A server, as it tells of itself."""

    name: str
    version: tuple[int, ...]
    has_jetstream: bool
    syncs: bool  # each write
    stored_bytes: int
    most_bytes: int  # 0: it does not say


@dataclass(frozen=True, slots=True, kw_only=True)
class NatsStream:
    """A stream that keeps something of feeds, as one server sees it."""

    name: str
    replicas: int
    leader: str  # a server's name; "": there is none
    seen_by: str
    behind: Sequence[str]  # servers that do not have all of it, or do not answer its leader


def server_of(varz: Mapping[str, Any]) -> NatsServer:
    """Of what /varz says. Raises ValueError where that is no NATS server."""
    if "server_name" not in varz or "version" not in varz:
        raise ValueError("it is not a NATS server's monitoring")
    jetstream = varz.get("jetstream") or {}
    config, stats = jetstream.get("config") or {}, jetstream.get("stats") or {}
    numbers = str(varz["version"]).partition("-")[0].split(".")
    return NatsServer(
        name=str(varz["server_name"]),
        version=tuple(int(one) for one in numbers if one.isdigit()),
        has_jetstream=bool(config),
        syncs=bool(config.get("sync_always")),
        stored_bytes=int(stats.get("storage", 0)),
        most_bytes=int(config.get("max_storage", 0)),
    )


def streams_of(jsz: Mapping[str, Any], seen_by: str, prefix: str) -> list[NatsStream]:
    """Of what /jsz?streams=true&config=true says: those of feeds."""
    kept = (f"{prefix}-", f"OBJ_{prefix}-")
    found = []
    for account in jsz.get("account_details") or ():
        for one in account.get("stream_detail") or ():
            if not str(one.get("name", "")).startswith(kept):
                continue
            cluster = one.get("cluster") or {}
            found.append(
                NatsStream(
                    name=str(one["name"]),
                    replicas=int((one.get("config") or {}).get("num_replicas", 1)),
                    leader=str(cluster.get("leader", "")),
                    seen_by=seen_by,
                    behind=tuple(
                        str(peer.get("name"))
                        for peer in cluster.get("replicas") or ()
                        if peer.get("offline") or not peer.get("current") or peer.get("lag")
                    ),
                )
            )
    return found


def check_nats(
    servers: Mapping[str, NatsServer | str], streams: Iterable[NatsStream], prefix: str
) -> list[Finding]:
    """servers: by the address that was asked; a text: why it told nothing."""
    away = {where: why for where, why in servers.items() if isinstance(why, str)}
    there = [one for one in servers.values() if isinstance(one, NatsServer)]
    findings = [_answering(away, len(servers))]
    if there:
        findings += [_versions(there), _syncs(there), _room(there)]
        findings += _streams(list(streams), prefix)
    return findings


def _answering(away: Mapping[str, str], asked: int) -> Finding:
    if not away:
        return ok("nats", f"{number_of(asked, 'server')} answered")
    seen = "; ".join(f"{where} does not answer ({why})" for where, why in away.items())
    step = "start it, or name its monitoring port, as `http:` in its configuration says"
    return (fail if len(away) * 2 > asked else warn)("nats", seen, step)


def _versions(servers: Sequence[NatsServer]) -> Finding:
    old = [one.name for one in servers if one.version[:2] < OLDEST]
    bare = [one.name for one in servers if not one.has_jetstream]
    if old:
        return fail(
            "nats version", f"older than {OLDEST[0]}.{OLDEST[1]}: {', '.join(old)}",
            "run a newer one: atomic batches are needed",
        )  # fmt: skip
    if bare:
        return fail(
            "nats version", f"without JetStream: {', '.join(bare)}",
            "give it a `jetstream` block; where it has one, its log says why it was stopped",
        )  # fmt: skip
    shown = sorted({".".join(map(str, one.version)) for one in servers})
    return ok("nats version", f"{', '.join(shown)}, with JetStream")


def _syncs(servers: Sequence[NatsServer]) -> Finding:
    lazy = [one.name for one in servers if not one.syncs]
    if lazy:
        return fail(
            "nats sync", f"do not sync each write: {', '.join(lazy)}",
            "set `sync_interval: always` in the `jetstream` block",
        )  # fmt: skip
    return ok("nats sync", "each write is synced")


def _room(servers: Sequence[NatsServer]) -> Finding:
    shares = {
        one.name: 1 - one.stored_bytes / one.most_bytes for one in servers if one.most_bytes > 0
    }
    if not shares:
        return warn("nats storage", "no server says what it may store", "set `max_file_store`")
    name, left = min(shares.items(), key=lambda item: item[1])
    seen = f"{left:.0%} left at {name}, which has least"
    step = "raise `max_file_store`, or give it a larger disk; a full one stops all that is written"
    if left < TOO_LITTLE:
        return fail("nats storage", seen, step)
    return warn("nats storage", seen, step) if left < LITTLE else ok("nats storage", seen)


def _streams(streams: Sequence[NatsStream], prefix: str) -> list[Finding]:
    by_name: dict[str, NatsStream] = {}
    for one in streams:
        if one.name not in by_name or one.seen_by == one.leader:
            by_name[one.name] = one
    if not by_name:
        return [
            warn(
                "nats streams", f"none that begins with {prefix}-",
                "start a server with --feeds, or name another --nats-prefix",
            )
        ]  # fmt: skip
    headless = sorted(one.name for one in by_name.values() if one.replicas > 1 and not one.leader)
    few = sorted(one.name for one in by_name.values() if one.replicas < REPLICAS)
    behind = sorted(
        f"{one.name} at {', '.join(one.behind)}" for one in by_name.values()
        if one.behind and one.seen_by == one.leader
    )  # fmt: skip
    found = [ok("nats streams", f"{number_of(len(by_name), 'stream')}, each with a leader")]
    if headless:
        found = [
            fail("nats streams", f"without a leader: {', '.join(headless)}",
                 "start servers until more than half of its replicas run"),
        ]  # fmt: skip
    found.append(
        warn("nats replicas", f"fewer than {REPLICAS}: {', '.join(few)}",
             "a server that is lost takes what is there along; `nats stream edit --replicas 3`")
        if few else ok("nats replicas", f"{REPLICAS} or more of each stream")
    )  # fmt: skip
    found.append(
        warn("nats lag", f"behind, or away: {'; '.join(behind)}",
             "start the server, and wait until it has caught up before another one is stopped")
        if behind else ok("nats lag", "every replica that leaders know of is up to date")
    )  # fmt: skip
    return found
