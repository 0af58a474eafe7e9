"""What an agent process tells Prometheus of its units. All names in one place.

Collected when scraped, from counters that are kept as plain integers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from control_plane.monitoring.certificate_expiry import certificate_expiry
from control_plane.telemetry.endpoint import Readiness
from deployment_units.agent.admitted import AdmittedHolds
from deployment_units.agent.capacity_limit import CapacityLimit
from deployment_units.agent.identity_metrics import MeasuredIdentities, identity_metrics
from deployment_units.agent.registration import Registration
from deployment_units.agent.sip_metrics import MeasuredCallServer, sip_metrics
from deployment_units.agent.unit_service import UnitService
from deployment_units.services.web.server import WebServer


class MeasuredSmtp(Protocol):
    """An SMTP server, as far as it is told of: see SmtpServer."""

    @property
    def replies(self) -> Mapping[tuple[str, int], int]: ...

    @property
    def connections(self) -> int: ...


class MeasuredApplications(Protocol):
    """What it does for accounts of applications. counts: published, refused, replies, failures."""

    @property
    def counts(self) -> Mapping[str, int]: ...

    @property
    def accounts(self) -> int: ...


class MeasuredOutbox(Protocol):
    """Deliveries of its accounts, as far as they are told of: see OutboxMeasures."""

    @property
    def attempts(self) -> Mapping[tuple[str, str], int]: ...

    @property
    def ended(self) -> Mapping[str, int]: ...

    @property
    def waiting(self) -> tuple[int, int | None]: ...


class MeasuredDevices(Protocol):
    """Browsers that were seen, by what was decided on them: see DeviceService."""

    @property
    def observed(self) -> Mapping[str, int]: ...


class MeasuredInvitations(Protocol):
    """What became of the steps of invitations."""

    @property
    def counts(self) -> Mapping[str, int]: ...


class MeasuredCalls(Protocol):
    """Calls and texts of accounts, by kind and what became of them; reports that nobody took."""

    @property
    def routed(self) -> Mapping[tuple[str, str], int]: ...

    @property
    def dropped(self) -> int: ...


class MeasuredAgent(Protocol):
    """The agent of one unit, as far as it is told of."""

    @property
    def unit_id(self) -> str: ...

    @property
    def registration(self) -> Registration: ...

    @property
    def service(self) -> UnitService: ...

    @property
    def limit(self) -> CapacityLimit: ...

    @property
    def holds(self) -> AdmittedHolds: ...

    @property
    def web(self) -> WebServer | None: ...

    @property
    def smtp(self) -> MeasuredSmtp | None: ...

    @property
    def applications(self) -> MeasuredApplications | None: ...

    @property
    def outbox(self) -> MeasuredOutbox | None: ...

    @property
    def devices(self) -> MeasuredDevices | None: ...

    @property
    def identities(self) -> MeasuredIdentities | None: ...

    @property
    def inviting(self) -> MeasuredInvitations | None: ...

    @property
    def calls(self) -> MeasuredCalls | None: ...

    @property
    def call_server(self) -> MeasuredCallServer | None: ...


class AgentMetrics(Collector):
    """Of all units of a process. certificates: PEM contents as they are used now, by what they
    are."""

    def __init__(
        self,
        agents: Sequence[MeasuredAgent],
        certificates: Callable[[], Mapping[str, bytes | None]] = dict,
    ) -> None:
        self._agents = agents
        self._certificates = certificates
        self._version = version("homeport-server")

    def readiness(self) -> Readiness:
        """Ready: every unit is registered, or known to be removed. Degraded: each was, and not all
        are now; they go on admitting with the keys that they have."""
        lines = [one.registration for one in self._agents]
        if not all(line.settled.is_set() for line in lines):
            return Readiness.NOT_READY
        if all(line.registered.is_set() or line.removed for line in lines):
            return Readiness.READY
        return Readiness.DEGRADED

    def collect(self) -> Iterator[Metric]:
        """For Prometheus, when somebody scrapes."""
        yield InfoMetricFamily("homeport_build", "What is running.", {"version": self._version})
        yield from self._registrations()
        yield from self._admissions()
        yield from self._browsers()
        yield from self._mail()
        yield from self._applications()
        yield from self._deliveries()
        yield from self._devices()
        yield from identity_metrics((one.unit_id, one.identities) for one in self._agents)
        yield from self._invitations()
        yield from self._calls()
        yield from sip_metrics((one.unit_id, one.call_server) for one in self._agents)
        yield certificate_expiry(self._certificates())

    def _registrations(self) -> Iterator[Metric]:
        registered = GaugeMetricFamily(
            "homeport_agent_registered",
            "1 while the control plane hears the unit's heartbeats; one that an operator removed"
            " is not told of.",
            labels=["unit"],
        )
        heartbeat = GaugeMetricFamily(
            "homeport_agent_heartbeat_acknowledged_timestamp_seconds",
            "When the control plane last answered a heartbeat; Unix time; 0: never.",
            labels=["unit"],
        )
        for one in self._agents:
            if not one.registration.removed:
                registered.add_metric([one.unit_id], one.registration.registered.is_set())
            heartbeat.add_metric([one.unit_id], one.registration.answered_at)
        yield registered
        yield heartbeat

    def _admissions(self) -> Iterator[Metric]:
        admissions = CounterMetricFamily(
            "homeport_agent_admissions",
            "Tickets that were shown to the unit, by what became of them: admitted, or why not.",
            labels=["unit", "reason"],
        )
        admitted = GaugeMetricFamily(
            "homeport_agent_admitted_clients",
            "Clients that the unit has let in, until their tickets end or they are known to have"
            " left.",
            labels=["unit"],
        )
        most = GaugeMetricFamily(
            "homeport_agent_admitted_clients_limit",
            "How many clients it lets in at most; not told while it does not know.",
            labels=["unit"],
        )
        waiting = GaugeMetricFamily(
            "homeport_agent_waiting_admissions",
            "Admissions of clients with held places that the control plane has not acknowledged.",
            labels=["unit"],
        )
        dropped = CounterMetricFamily(
            "homeport_agent_dropped_admissions",
            "Such admissions that were too many to be kept until they are reported.",
            labels=["unit"],
        )
        for one in self._agents:
            for reason, count in sorted(one.service.admissions.copy().items()):
                admissions.add_metric([one.unit_id, reason.replace("-", "_")], count)
            admitted.add_metric([one.unit_id], len(one.limit))
            if one.limit.most is not None:
                most.add_metric([one.unit_id], one.limit.most)
            waiting.add_metric([one.unit_id], len(one.holds))
            dropped.add_metric([one.unit_id], one.holds.dropped)
        yield admissions
        yield admitted
        yield most
        yield waiting
        yield dropped

    def _browsers(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "homeport_agent_web_requests",
            "Requests to the unit's HTTP port, by the status of their answers; a stream counts when"
            " it has ended.",
            labels=["unit", "status"],
        )
        streams = GaugeMetricFamily(
            "homeport_agent_web_streams",
            "Streams of events that browsers have open.",
            labels=["unit"],
        )
        dropped = CounterMetricFamily(
            "homeport_agent_web_dropped_streams",
            "Streams that were ended because nothing of them was taken for 20 s.",
            labels=["unit"],
        )
        for one in self._agents:
            if one.web is not None:
                for status, count in sorted(one.web.door.answered.copy().items()):
                    requests.add_metric([one.unit_id, str(status)], count)
                streams.add_metric([one.unit_id], one.web.streams.open)
                dropped.add_metric([one.unit_id], one.web.streams.dropped)
        yield requests
        yield streams
        yield dropped

    def _mail(self) -> Iterator[Metric]:
        replies = CounterMetricFamily(
            "homeport_agent_smtp_replies",
            "Answers to those who bring mail, by what they asked for (a sender, a recipient, a mail"
            " itself) and the code of RFC 5321; a mail with 250 is kept.",
            labels=["unit", "of", "code"],
        )
        connections = GaugeMetricFamily(
            "homeport_agent_smtp_connections",
            "Connections that mail servers have open.",
            labels=["unit"],
        )
        for one in self._agents:
            if one.smtp is not None:
                for (of, code), count in sorted(dict(one.smtp.replies).items()):
                    replies.add_metric([one.unit_id, of, str(code)], count)
                connections.add_metric([one.unit_id], one.smtp.connections)
        yield replies
        yield connections

    def _applications(self) -> Iterator[Metric]:
        accounts = GaugeMetricFamily(
            "homeport_agent_applications",
            "Accounts of its tenants that answer for applications, wherever they live; 0 while that"
            " is not known.",
            labels=["unit"],
        )
        events = CounterMetricFamily(
            "homeport_agent_application_events",
            "Messages and presses for applications: in their feeds, or refused by them for good.",
            labels=["unit", "outcome"],
        )
        replies = CounterMetricFamily(
            "homeport_agent_application_replies",
            "Replies of applications that were taken in, also those that were refused or there.",
            labels=["unit"],
        )
        failures = CounterMetricFamily(
            "homeport_agent_application_failures",
            "Times that something for an application did not go on, and is tried again.",
            labels=["unit"],
        )
        for one in self._agents:
            if one.applications is None:
                continue
            counts = one.applications.counts
            accounts.add_metric([one.unit_id], one.applications.accounts)
            for outcome in ("published", "refused"):
                events.add_metric([one.unit_id, outcome], counts.get(outcome, 0))
            replies.add_metric([one.unit_id], counts.get("replies", 0))
            failures.add_metric([one.unit_id], counts.get("failures", 0))
        yield accounts
        yield events
        yield replies
        yield failures

    def _deliveries(self) -> Iterator[Metric]:
        waiting = GaugeMetricFamily(
            "homeport_agent_outbox_waiting_deliveries",
            "Deliveries to other accounts and people that are not over, of all accounts.",
            labels=["unit"],
        )
        oldest = GaugeMetricFamily(
            "homeport_agent_outbox_oldest_timestamp_seconds",
            "Since when the one that waits for longest does; Unix time; not told while none does.",
            labels=["unit"],
        )
        attempts = CounterMetricFamily(
            "homeport_agent_delivery_attempts",
            "Attempts to deliver, by channel (unit: to an account at another unit) and by what the"
            " other side said.",
            labels=["unit", "channel", "outcome"],
        )
        ended = CounterMetricFamily(
            "homeport_agent_deliveries_ended",
            "Deliveries of which nothing further was due, by what was known of them then; receipts"
            " that come later do not count.",
            labels=["unit", "state"],
        )
        for one in self._agents:
            if one.outbox is None:
                continue
            count, since_ms = one.outbox.waiting
            waiting.add_metric([one.unit_id], count)
            if since_ms is not None:
                oldest.add_metric([one.unit_id], since_ms / 1_000)
            for (channel, outcome), number in sorted(dict(one.outbox.attempts).items()):
                attempts.add_metric([one.unit_id, channel, outcome], number)
            for state, number in sorted(dict(one.outbox.ended).items()):
                ended.add_metric([one.unit_id, state], number)
        yield waiting
        yield oldest
        yield attempts
        yield ended

    def _devices(self) -> Iterator[Metric]:
        observed = CounterMetricFamily(
            "homeport_agent_observed_browsers",
            "Browsers that pages have seen, by what was decided: linked to a device, ambiguous, or"
            " why none is meant.",
            labels=["unit", "decision"],
        )
        for one in self._agents:
            if one.devices is not None:
                for decision, count in sorted(dict(one.devices.observed).items()):
                    observed.add_metric([one.unit_id, decision], count)
        yield observed

    def _invitations(self) -> Iterator[Metric]:
        steps = CounterMetricFamily(
            "homeport_agent_invitation_steps",
            "What was to be done about invitations of its accounts, by what came of it: done, put"
            " off, or refused for good.",
            labels=["unit", "outcome"],
        )
        for one in self._agents:
            if one.inviting is not None:
                for outcome, count in sorted(dict(one.inviting.counts).items()):
                    steps.add_metric([one.unit_id, outcome.replace(" ", "_")], count)
        yield steps

    def _calls(self) -> Iterator[Metric]:
        routed = CounterMetricFamily(
            "homeport_agent_routed_calls",
            "Calls and texts of accounts of the unit, by what became of them: routed, or why not.",
            labels=["unit", "kind", "outcome"],
        )
        dropped = CounterMetricFamily(
            "homeport_agent_dropped_call_reports",
            "Reports of what became of calls that no unit took for ten minutes.",
            labels=["unit"],
        )
        for one in self._agents:
            if one.calls is not None:
                for (kind, outcome), count in sorted(dict(one.calls.routed).items()):
                    routed.add_metric([one.unit_id, kind, outcome.replace("-", "_")], count)
                dropped.add_metric([one.unit_id], one.calls.dropped)
        yield routed
        yield dropped
