"""A connection to NATS servers that can keep a changelog; whether they can is asked at once.

Servers before 2.12 know no atomic batches, store their messages singly and say nothing. Whether
they sync each write, and on how many of them a stream is, decides whether what was answered
survives: less than three servers, or servers whose sync nobody has asked about, have to be wanted.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import NoServersError

from control_plane.errors import OutcomeUnknown, Refused, StoreUnavailable

log = logging.getLogger(__name__)

OLDEST = (2, 12)
REPLICAS = 3
CONNECT_S = 5.0
REQUEST_S = 5.0  # a request that has no answer by then may have been done
RECONNECT_S = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class JetStreamTarget:
    """Where a changelog is kept, and what is wanted of it."""

    servers: Sequence[str]  # nats://host:port or tls://host:port
    prefix: str = "homeport"  # of streams and subjects
    replicas: int = REPLICAS
    allow_fewer: bool = False  # fewer than REPLICAS are wanted
    monitoring: Sequence[str] = ()  # http://host:port of servers; none: sync is not asked
    allow_unsynced: bool = False  # whether servers sync is not asked, or they need not
    credentials: Path | None = None  # a NATS credentials file
    ca: Path | None = None  # PEM, of tls:// servers

    def check(self) -> None:
        """Raises Refused where it would keep less than was promised, and nobody has said so."""
        if self.replicas < REPLICAS and not self.allow_fewer:
            raise Refused(
                f"{self.replicas} replica(s) of the feeds lose events with one server; set "
                f"--feeds-replicas {REPLICAS}, or --feeds-allow-fewer where that is wanted"
            )
        if not self.monitoring and not self.allow_unsynced:
            raise Refused(
                "whether the NATS servers sync every write cannot be asked: name their monitoring "
                "addresses with --feeds-monitoring, or say --feeds-allow-unsynced"
            )


async def connected(target: JetStreamTarget) -> Client:
    """A connection that stays and reconnects. Raises Refused where the servers cannot keep a
    changelog, StoreUnavailable where none answers."""
    target.check()
    if target.monitoring and not target.allow_unsynced:
        await _check_sync(target.monitoring)

    async def failed(error: Exception) -> None:
        log.warning("NATS: %s", error or type(error).__name__)

    options: dict[str, Any] = {}
    if target.credentials is not None:
        options["user_credentials"] = str(target.credentials)
    if target.ca is not None:
        options["tls"] = ssl.create_default_context(cafile=str(target.ca))
    client = Client()
    try:
        async with asyncio.timeout(CONNECT_S):
            await client.connect(
                list(target.servers), name="homeport", connect_timeout=2,
                max_reconnect_attempts=-1, reconnect_time_wait=RECONNECT_S,
                allow_reconnect=True, error_cb=failed, ping_interval=5, max_outstanding_pings=2,
                pending_size=0, **options,
            )  # fmt: skip
    except (NatsError, NoServersError, OSError, TimeoutError) as error:
        await close(client)
        raise StoreUnavailable(
            f"none of the NATS servers {', '.join(target.servers)} answers"
        ) from error
    version = client.connected_server_version
    if (version.major, version.minor) < OLDEST:
        await close(client)
        raise Refused(
            f"the NATS server is {version.major}.{version.minor}, which keeps no atomic batches; "
            f"run {OLDEST[0]}.{OLDEST[1]} or newer"
        )
    return client


async def _check_sync(monitoring: Sequence[str]) -> None:
    """Of all that answer, and one has to. Raises Refused, StoreUnavailable."""
    answers = [found for one in monitoring if (found := await _syncs_always(one)) is not None]
    if not answers:
        raise StoreUnavailable(f"none of {', '.join(monitoring)} says how it syncs")
    if not all(answers):
        raise Refused(
            "a NATS server does not sync every write; set `sync_interval: always` in its "
            "`jetstream` block, or say --feeds-allow-unsynced"
        )


async def _syncs_always(monitoring: str) -> bool | None:
    """None: it does not answer."""
    try:
        timeout = aiohttp.ClientTimeout(total=CONNECT_S)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{monitoring.rstrip('/')}/varz") as answer,
        ):
            facts = msgspec.json.decode(await answer.read())
    except (aiohttp.ClientError, OSError, TimeoutError, msgspec.DecodeError) as error:
        log.warning("%s does not say how it syncs (%s)", monitoring, error)
        return None
    config = (facts.get("jetstream") or {}).get("config") or {}
    return bool(config.get("sync_always"))


async def close(client: Client) -> None:
    """Whatever state it is in, within CONNECT_S: a client that reconnects meanwhile may not heed
    that it is cancelled, and is left alone then."""
    closing = asyncio.create_task(client.close(), name="closing the connection to NATS")
    done, _ = await asyncio.wait([closing], timeout=CONNECT_S)
    if not done:
        closing.cancel()
    elif (error := closing.exception()) is not None:
        log.debug("closing the connection to NATS: %s", error)


async def request(
    client: Client, subject: str, payload: bytes, headers: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """A JSON answer, errors of JetStream among them. Raises StoreUnavailable where it was surely
    not sent, OutcomeUnknown where there was no answer."""
    if not client.is_connected:
        raise StoreUnavailable("NATS is away")
    try:
        answer = await client.request(
            subject, payload, timeout=REQUEST_S, headers=dict(headers) if headers else None
        )
        found: dict[str, Any] = msgspec.json.decode(answer.data)
        return found
    except nats.errors.NoRespondersError as error:
        raise StoreUnavailable("NATS has no leader for this now") from error
    except (NatsError, OSError, TimeoutError, msgspec.DecodeError) as error:
        raise OutcomeUnknown(f"NATS did not answer ({error or type(error).__name__})") from error
