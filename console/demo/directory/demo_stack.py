"""DemoStack: the processes of the demo and the calls that its people make.

Everything that runs is the stack of `homeport up` in a folder of its own, with TLS and tokens; one
agent process for each of two units. Calls are those of the command line.
"""

from __future__ import annotations

import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import homeport
from console.cli.calls.deliveries import DeliveryCalls
from console.cli.calls.directory import DirectoryCalls
from console.cli.calls.fleet import FleetCalls
from console.cli.failure import CommandFailed, ExitCode
from console.cli.profile import Target
from console.demo.directory import mail_provider, name_server, telephones
from console.demo.directory.demo_children import DemoChild
from console.demo.directory.gateway import Gateway
from console.demo.directory.mail_provider import Mailboxes
from console.demo.directory.name_server import PublishedRecords
from console.demo.directory.person import Person
from console.local.stack import LocalStack, secured
from console.local.stack_options import MailRelay, Sharing, StackOptions, TextLine
from console.local.stack_plan import PLATFORM, SERVER, SHARING, plan_stack
from console.local.stack_units import prepare_stack
from control_plane.fleet.file import TWO_UNITS, read_fleet
from data_sharing.clock import SimulatedClock, wall_ms
from homeport import errors
from homeport.api.tenancy.v1 import tenancy_pb2

TENANT, DOMAIN = "talk", "talk.example"
BROWSED = "talk.localhost"  # the same for browsers on this machine
ROASTERY = "roastery"  # the application, and its account
MAIL_DOMAINS = ("mail.example", "northwind.example", "contoso.example", "eu.contoso.example")
# Of the numbers kept for fiction: of the service, of Anna, of Dev, and of Ben.
SERVICE_NUMBER, ANNAS_NUMBER, DEVS_NUMBER = "+442079460000", "+442079460301", "+442079460302"
BENS_NUMBER = "+442079460303"
LONDON, STOCKHOLM = "81.2.69.142", "89.160.20.112"  # addresses there, as the geo database has it
WITHIN_S = 300.0  # also on a machine that is busy with other things
HTTP_S = 120.0
# Units are killed, and on a busy machine it takes more than the usual 30 s until they are there
# again; their clients stay with them, for what is kept of them is there.
LOST_AFTER_S = 2 * WITHIN_S
POLL_S = 0.05
T = TypeVar("T")


class DemoStack:
    """A context manager: inside it, everything runs. folder: empty, and left to the caller."""

    def __init__(self, folder: Path, *, on_step: Callable[[str], None] = lambda _: None) -> None:
        self.folder = folder
        self._on_step = on_step
        self.mailboxes = Mailboxes(folder / "mailboxes")
        self.mail = DemoChild(
            "mail-provider",
            mail_provider.MODULE,
            folder,
            (
                f"--mailboxes={self.mailboxes.folder}",
                *(f"--domain={domain}" for domain in MAIL_DOMAINS),
            ),
        )
        self.gateway = Gateway()
        self.records = PublishedRecords(folder / "zones")
        self.names = DemoChild(
            "name-server", name_server.MODULE, folder, (f"--folder={self.records.folder}",)
        )
        self.clock_file = folder / "clock"
        self.clock = SimulatedClock(self.clock_file, starts_at_ms=wall_ms())
        self._platform: DemoChild | None = None
        self.texts_folder = folder / "telephones"
        self.telephones = DemoChild(
            "telephones", telephones.MODULE, folder, (f"--folder={self.texts_folder}",)
        )

    def __enter__(self) -> DemoStack:
        try:
            self._start()
        except BaseException:  # Ctrl-C too: no process may be left
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if hasattr(self, "client"):
            self.client.close()
        if self._platform is not None:
            self._platform.stop()
        if hasattr(self, "local"):
            self.local.stop()
        self.telephones.stop()
        self.gateway.stop()
        self.names.stop()
        self.mail.stop()

    def _start(self) -> None:
        self._on_step("starting the mail provider")
        self.mailboxes.folder.mkdir()
        self.mail.start("--listen=127.0.0.1:0")
        self._on_step("starting the telephones")
        for number in (ANNAS_NUMBER, DEVS_NUMBER):
            (self.texts_folder / number).mkdir(parents=True)
        self.telephones.start("--listen=127.0.0.1:0")
        self.gateway.start()
        self._on_step("starting the name server")
        self.records.folder.mkdir()
        self.names.start()
        units = [unit.id for unit in read_fleet(TWO_UNITS)]
        options = secured(
            StackOptions(
                data_dir=self.folder / "stack",
                units=TWO_UNITS,
                port=0,
                metrics_port=0,
                accounts=True,
                lost_after_s=LOST_AFTER_S,
                apart=tuple(units),
                web=True,
                web_url=f"https://{{unit}}.{DOMAIN}",
                mail=MailRelay(
                    address=self.mail_address, domain=DOMAIN, tenant=TENANT, vouches=True
                ),
                hosts={DOMAIN: TENANT, BROWSED: TENANT},
                sharing=Sharing(tenant=TENANT, clock=self.clock_file),
                text=TextLine(address=self.text_line, number=SERVICE_NUMBER),
                trunks=self.gateway.trunk,
                dns=str(self.names.facts["dns"]),
            )
        )
        self.local = LocalStack(
            plan_stack(options),
            options.data_dir,
            on_step=self._on_step,
            prepare=lambda: prepare_stack(options),
        )
        assert options.security is not None
        self._security = security = options.security
        self.local.start()
        token = security.operator_token()
        self.target = Target(
            servers=(self.local.grpc,), tenant=TENANT, token=token, ca=str(security.ca)
        )
        tls = homeport.Tls.from_files(security.ca)
        with FleetCalls(self.target) as calls:
            # Accounts go where their clients go.
            with_state = tenancy_pb2.REPROVISION_MOVE_WITH_STATE
            calls.apply_tenant(tenancy_pb2.Tenant(tenant=TENANT, reprovision=with_state), fields=())
        self.client = homeport.Client(self.local.grpc, tenant=TENANT, tls=tls, token=token)

    def fetch(self, path: str, *, accept: str = "*/*") -> tuple[int, str]:
        """What somebody without an account gets of the service's host: status and content."""
        pages = str(self.local.facts[SERVER]["pages"])
        return self._answered(pages, path, {"host": DOMAIN, "accept": accept})

    def browse(self, unit: str, path: str, *, form: str | None = None) -> tuple[int, str]:
        """What a browser gets of a unit, whose name stands for where it is reached here: status and
        content. form: what is posted; None: nothing is."""
        headers = {"content-type": "application/x-www-form-urlencoded"} if form is not None else {}
        address = self.local.addresses("web")[unit]
        return self._answered(address, path, headers, None if form is None else form.encode())

    def call(
        self, unit: str, path: str, document: str, headers: Mapping[str, str]
    ) -> tuple[int, str]:
        """What a program gets of a unit's HTTP port for a JSON document: status and content."""
        shown = {"content-type": "application/json", **headers}
        return self._answered(self.local.addresses("web")[unit], path, shown, document.encode())

    def _answered(
        self, address: str, path: str, headers: dict[str, str], data: bytes | None = None
    ) -> tuple[int, str]:
        context = ssl.create_default_context(cafile=str(self._security.ca))
        request = urllib.request.Request(f"https://{address}{path}", data, headers)
        try:
            with urllib.request.urlopen(request, timeout=HTTP_S, context=context) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def addresses(self) -> list[tuple[str, str]]:
        """What a person can open in a browser."""
        port = str(self.local.facts[SERVER]["pages"]).rpartition(":")[2]
        found = [("@anna", f"https://{BROWSED}:{port}/@anna")]
        home = self.client.provision("anna")
        web = self.local.addresses("web").get(home.unit_id)
        if web is not None:
            found += [("as Anna", f"https://{web}/client/#ticket={home.ticket}")]
        return found

    def command_options(self) -> str:
        """By which commands of a shell reach the stack, as an operator."""
        return (
            f"--server {self.local.grpc} --tenant {TENANT} --ca {self._security.ca} "
            f"--token-file {self._security.operator_token_file}"
        )

    def start_platform(self, application: str) -> None:
        """Who runs an application, which has been submitted. Returns once it can."""
        compiled = self.folder / "stack" / "compiled"
        self._platform = DemoChild(
            PLATFORM,
            "data_sharing.platforms",
            self.folder,
            (
                f"--name={PLATFORM}",
                f"--applications={application}",
                f"--data-dir={self.folder / PLATFORM}",
                f"--server={self.data_target.server}",
                f"--tenant={TENANT}",
                f"--ca={self._security.ca}",
                f"--config={self._security.settings(PLATFORM)}",
                f"--compiled-dir={compiled}",
                f"--clock-file={self.clock_file}",
            ),
        )
        self._platform.start()

    @property
    def mail_address(self) -> str:
        """Where the mail provider takes mail, host:port."""
        return str(self.mail.facts["smtp"])

    @property
    def text_line(self) -> str:
        """Where the telephones are, host:port."""
        return str(self.telephones.facts["line"])

    def texts(self, number: str) -> list[tuple[str, str]]:
        """What a telephone got: from whom, and what."""
        return telephones.texts(self.texts_folder, number)

    def start_mail_again(self) -> None:
        """Where it was."""
        self.mail.start(f"--listen={self.mail_address}")

    def directory(self) -> DirectoryCalls:
        """As an operator; to be opened."""
        return DirectoryCalls(self.target)

    @property
    def data_target(self) -> Target:
        """Of the data-sharing service, as an operator."""
        return replace(self.target, servers=(str(self.local.facts[SHARING]["grpc"]),))

    def fleet(self) -> FleetCalls:
        """As an operator; to be opened."""
        return FleetCalls(self.target)

    def directory_account(self, name: str) -> str:
        """The account that a name is of, as Anna finds it."""
        with self.directory() as calls:
            return str(calls.resolve(name, viewer="anna").residences[0].account)

    def deliveries(self, account: str) -> DeliveryCalls:
        """What became of messages of an account; to be opened."""
        return DeliveryCalls.at(self.target, self.client.provision(account))

    def asking(self, ask: Callable[[], T]) -> T | None:
        """What `ask` gives; None while who is asked is not there."""
        try:
            return ask()
        except errors.Unavailable:
            return None
        except CommandFailed as failed:
            if failed.code is ExitCode.UNAVAILABLE:
                return None
            raise

    def person(self, account: str) -> Person:
        """At the unit of an account, with its ticket; to be opened."""
        return Person.at(self.target, self.client.provision(account))

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
