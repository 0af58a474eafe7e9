"""What is asked of servers: requests encoded ahead, the same for ours and for the ceiling."""

from __future__ import annotations

import json
import random
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from homeport.api.directory.v1 import directory_pb2
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from homeport.enrolment import hmac_token
from provisioner.geo.database import GeoDatabase
from provisioner.geo.sampling import sample_public_addresses
from simulation.load.frames import header_block

PROVISION = "/homeport.api.provisioning.v1.ProvisioningService/Provision"
CLAIM = "/homeport.api.directory.v1.DirectoryService/ClaimHandle"
RESOLVE = "/homeport.api.directory.v1.DirectoryService/Resolve"
ECHO = "/homeport.bench.Echo/Say"
ADDRESSES, SEED = 20_000, 7
BATCH_CLIENTS = 1_000
GROUP = "bench"


_sampled: list[tuple[str, ...]] = []  # once in a process, if that


def addresses() -> tuple[str, ...]:
    """Public addresses, weighted like users. The first time takes more than a second of a
    processor."""
    if not _sampled:
        hand_over(tuple(sample_public_addresses(GeoDatabase.open(), ADDRESSES, SEED)))
    return _sampled[0]


def hand_over(known: tuple[str, ...]) -> None:
    """The `addresses` of another process are those of this one."""
    _sampled[:] = [known]


def client_id(run: str, worker: int, number: int) -> str:
    """An id of the length that ids have in the field: 24 characters."""
    return f"{run[:8]:0<8}-{worker:02d}-{number:012x}"


def bulk_client_id(run: str, number: int) -> str:
    """The id of client `number` of a bulk run: the clients of one batch are neighbours, and
    the batches are spread. The same for ours and for the bare stores."""
    return client_id(run, number // BATCH_CLIENTS % 100, number)


def handle(run: str, worker: int, number: int) -> str:
    """The handle of the account `client_id` of these. No two look alike: of what is taken for one
    another, hexadecimal digits have one each."""
    return f"h{run[:8]}-{worker:02d}-{number:06x}"  # of digits alone it could be a number


@dataclass(frozen=True, slots=True, kw_only=True)
class Provisions:
    """`count` distinct clients per worker. The same run and worker ask for the same
    clients, so a second time they are known."""

    run: str
    count: int
    path: str = PROVISION
    without_ticket: bool = False
    tenant: str = ""

    def payloads(self, worker: int) -> Sequence[bytes]:
        known = addresses()
        rng = random.Random(f"{self.run}/{worker}")
        return [
            pb.ProvisionRequest(
                client_id=client_id(self.run, worker, number),
                address=known[rng.randrange(len(known))],
                without_ticket=self.without_ticket,
                tenant=self.tenant,
            ).SerializeToString()
            for number in range(self.count)
        ]

    def shown(self, worker: int) -> Sequence[bytes]:
        """Header blocks of the calls; none: they show nothing."""
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolments:
    """`count` distinct new clients per worker, where they are by the address they call from.
    group_key: of the group whose token each of them shows, besides its key; empty: none shows
    anything."""

    run: str
    count: int
    group_key: str = ""
    path: str = PROVISION

    def payloads(self, worker: int) -> Sequence[bytes]:
        return [
            pb.ProvisionRequest(client_id=name).SerializeToString() for name in self._ids(worker)
        ]

    def shown(self, worker: int) -> Sequence[bytes]:
        """Header blocks of the calls; none: they show nothing."""
        if not self.group_key:
            return ()
        return [header_block(self._headers(name)) for name in self._ids(worker)]

    def _ids(self, worker: int) -> Sequence[str]:
        return [client_id(self.run, worker, number) for number in range(self.count)]

    def _headers(self, name: str) -> Sequence[tuple[str, str]]:
        token = hmac_token(group=GROUP, key=self.group_key, tenant="default", client_id=name)
        key = urlsafe_b64encode(sha256(name.encode()).digest()).rstrip(b"=").decode()
        return (("authorization", f"Bearer {token}"), ("homeport-client-key", key))


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """`count` accounts of each worker, each of which takes its handle. They are at home in `unit`,
    since a run of Provisions of the same name."""

    run: str
    count: int
    unit: str
    path: str = CLAIM

    def payloads(self, worker: int) -> Sequence[bytes]:
        return [
            directory_pb2.ClaimHandleRequest(
                account=client_id(self.run, worker, number),
                home=directory_pb2.ActingHome(unit_id=self.unit, epoch=1),
                handle=handle(self.run, worker, number),
            ).SerializeToString()
            for number in range(self.count)
        ]

    def shown(self, worker: int) -> Sequence[bytes]:
        """Header blocks of the calls; none: they show nothing."""
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolves:
    """`count` lookups of each worker: handles of `known` accounts that a run of Claims gave them,
    in some order, for viewers among the same accounts. As their unit asks."""

    run: str
    count: int
    known: int
    unit: str
    path: str = RESOLVE

    def payloads(self, worker: int) -> Sequence[bytes]:
        rng = random.Random(f"{self.run}/{worker}")
        home = directory_pb2.ActingHome(unit_id=self.unit, epoch=1)
        return [
            directory_pb2.ResolveRequest(
                identifier=directory_pb2.Identifier(
                    uri="@" + handle(self.run, worker, rng.randrange(self.known))
                ),
                viewer=client_id(self.run, worker, number % self.known),
                home=home,
            ).SerializeToString()
            for number in range(self.count)
        ]

    def shown(self, worker: int) -> Sequence[bytes]:
        """Header blocks of the calls; none: they show nothing."""
        return ()


def http_provisions(run: str, count: int, worker: int) -> list[bytes]:
    """Requests over HTTP/1.1 for the clients that `Provisions` of this run, count and worker asks
    for over gRPC, said with the same words."""
    made = []
    for payload in Provisions(run=run, count=count).payloads(worker):
        request = pb.ProvisionRequest.FromString(payload)
        body = json.dumps({"address": request.address}).encode()
        head = (
            f"POST /v1/tenants/default/clients/{request.client_id}:provision HTTP/1.1\r\n"
            "host: bench\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        made.append(head.encode() + body)
    return made


def batches(run: str, count: int, *, size: int = BATCH_CLIENTS, with_tickets: bool) -> list[bytes]:
    """ProvisionManyRequests for `count` batches of distinct clients."""
    known = addresses()
    rng = random.Random(run)
    made = []
    for batch in range(count):
        request = pb.ProvisionManyRequest(without_tickets=not with_tickets)
        for number in range(size):
            request.clients.add(
                client_id=bulk_client_id(run, batch * size + number),
                address=known[rng.randrange(len(known))],
            )
        made.append(request.SerializeToString())
    return made


def sample_response() -> bytes:
    """A ProvisionResponse of the usual size, for echoes to answer with. The suite compares
    it with real ones."""
    response = pb.ProvisionResponse(ticket="t" * 299)
    response.assignment.tenant = "default"
    response.assignment.client_id = client_id("sample", 0, 0)
    response.assignment.unit_id = "ap-northeast"
    response.assignment.endpoint = "ap-northeast.homeport.example:443"
    response.assignment.epoch = 1
    response.assignment.assign_time.FromMilliseconds(1_795_526_278_416)
    response.ticket_ttl.FromSeconds(3600)
    response.decision.location.country = "JP"
    response.decision.location.subdivision = "Tokyo"
    response.decision.location.continent = "AS"
    response.decision.location.source = 3  # type: ignore[assignment]
    response.decision.location.position.latitude = 35.7
    response.decision.location.position.longitude = 139.7
    response.decision.location.uncertainty_km = 42.0
    response.decision.distance_km = 12.3
    response.decision.rule = "nearest"
    return response.SerializeToString()
