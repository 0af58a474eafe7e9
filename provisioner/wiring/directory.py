"""The directory of one server, over the stores that it has.

Part of the wiring: `provisioner.wiring.server` builds the rest.
"""

from __future__ import annotations

import logging
import secrets
import time

from control_plane import keys
from control_plane.audit.change import change_here
from control_plane.identity.introductions import IntroductionIssuer
from control_plane.identity.pepper_ring import PepperSource
from control_plane.serving.channel_pool import ChannelPool
from control_plane.store.grouped_store import GroupedStore
from control_plane.store.port import OutcomeUnknown, StoreUnavailable
from provisioner.api.unit_profiles import UnitProfiles
from provisioner.directory.accounts import SharedAccountStore
from provisioner.directory.code_sender import CodeSender
from provisioner.directory.directory import Directory, build_directory
from provisioner.directory.mail_codes import MailCodes
from provisioner.directory.sharded_accounts import ShardedAccountStore, ShardedHomes
from provisioner.directory.text_codes import CodeSenders, TextCodes
from provisioner.moves.dialing import unit_dialer
from provisioner.settings import Settings
from provisioner.wiring.state import ServerState

log = logging.getLogger("homeport")


async def open_directory(settings: Settings, state: ServerState) -> Directory:
    """Ready to be asked, but where the store is away: then it is once that is there. Raises
    InvalidInput."""
    store, cluster_set = state.store, state.cluster_set
    pepper = PepperSource(
        store,
        settings.directory_pepper_file,
        wrapping=settings.wrapping(secrets.token_bytes),
        random=secrets.token_bytes,
    )
    # What an operator's call writes has marks of the audit log, and goes by itself.
    grouped = GroupedStore(
        store, turn_of=keys.directory_tenant, alone=lambda: change_here() > 0, clock=time.monotonic
    )
    sharded = None
    if cluster_set is not None:
        sharded = ShardedAccountStore(cluster_set.clusters, cluster_set.shard_map_cache)
    directory = build_directory(
        grouped,
        sharded or SharedAccountStore(grouped),
        ShardedHomes(sharded) if sharded is not None else None,
        pepper,
        _sender(settings),
        UnitProfiles(ChannelPool(unit_dialer(settings))),
        session=lambda: state.ledger.session,
        endpoint_of=state.fleet_view.endpoint_of,
        introductions=IntroductionIssuer(state.issuer),
        clock=time.monotonic,
        wall=time.time,
        random=secrets.token_bytes,
        recent=None if state.recent is None else state.recent.take,
    )
    try:
        await directory.start()
    except (StoreUnavailable, OutcomeUnknown) as error:
        log.warning("the directory answers once the store does: %s", error)
    return directory


def _sender(settings: Settings) -> CodeSender:
    senders: list[CodeSender] = []
    if settings.directory_mail_relay:
        relay = _host_and_port(settings.directory_mail_relay)
        senders.append(MailCodes(relay, settings.directory_mail_from, wall=time.time))
    if settings.directory_text_line:
        line = _host_and_port(settings.directory_text_line)
        senders.append(TextCodes(line, settings.directory_text_number))
    return CodeSenders(senders)


def _host_and_port(value: str) -> tuple[str, int]:
    """Of a setting that was checked."""
    host, _, port = value.rpartition(":")
    return host.strip("[]"), int(port)
