"""DemoStack: the processes of the demo and the calls that its people make.

Everything that runs is the stack of `homeport up` in a folder of its own, with TLS and tokens; one
agent process for each of two units. Calls are those of the command line.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import homeport
from console.cli.calls.conversations import ConversationCalls
from console.cli.calls.directory import DirectoryCalls
from console.cli.calls.fleet import FleetCalls
from console.cli.failure import CommandFailed
from console.cli.profile import Target
from console.local.stack import LocalStack, secured
from console.local.stack_plan import StackOptions, plan_stack
from console.local.stack_units import prepare_stack
from control_plane.fleet.file import TWO_UNITS, read_fleet
from homeport.api.tenancy.v1 import tenancy_pb2

TENANT, DOMAIN = "talk", "talk.example"
LONDON, STOCKHOLM = "81.2.69.142", "89.160.20.112"  # addresses there, as the geo database has it
WITHIN_S = 60.0
POLL_S = 0.05
T = TypeVar("T")


class DemoStack:
    """A context manager: inside it, everything runs. folder: empty, and left to the caller."""

    def __init__(self, folder: Path, *, on_step: Callable[[str], None] = lambda _: None) -> None:
        units = [unit.id for unit in read_fleet(TWO_UNITS)]
        options = secured(
            StackOptions(
                data_dir=folder / "stack",
                units=TWO_UNITS,
                port=0,
                metrics_port=0,
                accounts=True,
                apart=tuple(units),
            )
        )
        self.folder = folder
        self.local = LocalStack(
            plan_stack(options),
            options.data_dir,
            on_step=on_step,
            prepare=lambda: prepare_stack(options),
        )
        assert options.security is not None
        self._security = options.security

    def __enter__(self) -> DemoStack:
        self.local.start()
        try:
            token = self._security.operator_token()
            self.target = Target(
                servers=(self.local.grpc,), tenant=TENANT, token=token, ca=str(self._security.ca)
            )
            tls = homeport.Tls.from_files(self._security.ca)
            with FleetCalls(self.target) as calls:
                calls.apply_tenant(tenancy_pb2.Tenant(tenant=TENANT), fields=())
            self.client = homeport.Client(self.local.grpc, tenant=TENANT, tls=tls, token=token)
        except BaseException:  # Ctrl-C too: no process may be left
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if hasattr(self, "client"):
            self.client.close()
        self.local.stop()

    def directory(self) -> DirectoryCalls:
        """As an operator; to be opened."""
        return DirectoryCalls(self.target)

    def at_home(self, account: str) -> ConversationCalls:
        """At the unit of an account, with its ticket; to be opened."""
        return ConversationCalls.at(self.target, self.client.provision(account))

    def until(self, what: str, look: Callable[[], T | None], *, within_s: float = WITHIN_S) -> T:
        """What `look` gives as soon as that is something; what died meanwhile is started again.
        Raises CommandFailed."""
        end_s = time.monotonic() + within_s
        while time.monotonic() < end_s:
            self.local.tend()
            found = look()
            if found:
                return found
            time.sleep(POLL_S)
        raise CommandFailed(f"waited {within_s:.0f} s for {what}")
