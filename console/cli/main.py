"""`homeport`: the command tree, and the one place where a command's failure ends the process.

Modules of commands import only what the tree needs (Typer and the options); what a command
works with is imported when it runs, so that `homeport --help` stays quick.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any, NoReturn

import typer
from typer._click.exceptions import ClickException

from console.cli.commands import (
    account_names,
    accounts,
    approvals,
    apps,
    audit,
    backups,
    calls,
    cards,
    chat,
    clients,
    compose,
    consents,
    conversations,
    decisions,
    deliveries,
    devices,
    doctor,
    domains,
    enrolment,
    events,
    geo,
    handles,
    identifiers,
    invites,
    keys,
    load,
    local,
    mail,
    many,
    moves,
    numbers,
    organisations,
    plans,
    platforms,
    policy,
    policy_moves,
    policy_overlap,
    policy_pins,
    policy_simulation,
    proofs,
    push,
    rollouts,
    rules,
    sharing,
    sign_in,
    store,
    tenants,
    tokens,
    unit_states,
    watch,
)
from console.cli.common_options import with_common_options
from console.cli.failure import ExitCode, failure_of, report
from console.cli.usage_errors import reword

app = typer.Typer(
    name="homeport",
    help="Gives every client of a global service its home.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("up", rich_help_panel="Run")(local.up)
app.command("serve", rich_help_panel="Run", **local.PASSES_EVERYTHING_ON)(local.serve)
app.command("agent", rich_help_panel="Run", **local.PASSES_EVERYTHING_ON)(local.agent)
app.command("share", rich_help_panel="Run", **local.PASSES_EVERYTHING_ON)(local.share)
app.command("provision", rich_help_panel="Clients")(clients.provision)
app.command("provision-many", rich_help_panel="Clients")(many.provision_many)
app.command("get", rich_help_panel="Clients")(clients.get)
app.command("release", rich_help_panel="Clients")(clients.release)
app.command("explain", rich_help_panel="Clients")(clients.explain)
app.command("watch", rich_help_panel="Clients")(watch.watch)
unit_states.app.command("watch")(watch.watch_units)
app.add_typer(unit_states.app, name="units", rich_help_panel="Fleet and tenants")
app.add_typer(moves.app, name="moves", rich_help_panel="Fleet and tenants")
app.add_typer(tenants.app, name="tenants", rich_help_panel="Fleet and tenants")
policy.app.command("pin")(policy_pins.pin)
policy.app.command("unpin")(policy_pins.unpin)
policy.app.command("pins")(policy_pins.pins)
policy.app.command("simulate")(policy_simulation.simulate)
policy.app.command("move")(policy_moves.move)
policy.app.command("overlap")(policy_overlap.overlap)
policy.app.command("test")(policy_simulation.try_cases)
app.add_typer(policy.app, name="policy", rich_help_panel="Fleet and tenants")
app.add_typer(enrolment.app, name="enrolment", rich_help_panel="Fleet and tenants")
app.add_typer(keys.app, name="keys", rich_help_panel="Fleet and tenants")
app.add_typer(tokens.app, name="tokens", rich_help_panel="Fleet and tenants")
app.add_typer(store.app, name="store", rich_help_panel="Fleet and tenants")
app.add_typer(backups.backup, name="backup", rich_help_panel="Fleet and tenants")
app.add_typer(backups.restore, name="restore", rich_help_panel="Fleet and tenants")
app.add_typer(apps.app, name="apps", rich_help_panel="Data sharing")
app.add_typer(events.app, name="events", rich_help_panel="Data sharing")
app.add_typer(decisions.app, name="decisions", rich_help_panel="Data sharing")
app.add_typer(approvals.app, name="approvals", rich_help_panel="Data sharing")
app.add_typer(decisions.dlq, name="dlq", rich_help_panel="Data sharing")
app.add_typer(platforms.app, name="platforms", rich_help_panel="Data sharing")
rules.app.command("pause")(rollouts.pause)
rules.app.command("resume")(rollouts.resume)
rules.app.command("rollback")(rollouts.rollback)
rules.app.add_typer(rollouts.app, name="rollout")
app.add_typer(rules.app, name="rules", rich_help_panel="Data sharing")
app.add_typer(plans.app, name="plans", rich_help_panel="Data sharing")
app.add_typer(sharing.app, name="sharing", rich_help_panel="Data sharing")
app.add_typer(consents.app, name="consents", rich_help_panel="Data sharing")
account_names.add_to(accounts.app)
accounts.app.command("sign-in")(sign_in.sign_in)
app.add_typer(accounts.app, name="accounts", rich_help_panel="Messages")
app.add_typer(cards.app, name="cards", rich_help_panel="Messages")
app.add_typer(handles.app, name="handles", rich_help_panel="Messages")
app.command("resolve", rich_help_panel="Messages")(handles.resolve)
identifiers.app.command("add")(proofs.add)
identifiers.app.command("confirm")(proofs.confirm)
identifiers.app.command("remove")(proofs.remove)
identifiers.app.command("list")(proofs.list_identifiers)
app.add_typer(identifiers.app, name="identifiers", rich_help_panel="Messages")
app.command("chat", rich_help_panel="Messages")(chat.chat)
app.command("compose", rich_help_panel="Messages")(compose.compose)
app.add_typer(conversations.app, name="conversations", rich_help_panel="Messages")
app.add_typer(deliveries.app, name="deliveries", rich_help_panel="Messages")
app.add_typer(devices.app, name="devices", rich_help_panel="Messages")
app.add_typer(calls.app, name="calls", rich_help_panel="Messages")
app.add_typer(numbers.app, name="numbers", rich_help_panel="Messages")
app.add_typer(push.app, name="push", rich_help_panel="Messages")
app.add_typer(mail.app, name="mail", rich_help_panel="Messages")
app.add_typer(organisations.app, name="organisations", rich_help_panel="Messages")
app.add_typer(domains.app, name="domains", rich_help_panel="Messages")
app.add_typer(invites.app, name="invites", rich_help_panel="Messages")
app.add_typer(audit.app, name="audit", rich_help_panel="Look into things")
app.add_typer(geo.app, name="geo", rich_help_panel="Look into things")
app.command("load", rich_help_panel="Look into things")(load.load)
app.command("doctor", rich_help_panel="Look into things")(doctor.doctor)
app.command("version", rich_help_panel="Look into things")(doctor.version)

YOUNG_OBJECTS = 50_000  # made before the collector looks through them


@cache
def command() -> Any:
    """The whole tree, made when it is first called."""
    return with_common_options(app)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The console script; `arguments` default to the process's own."""
    if arguments is None:
        _collect_seldom()
    # What gRPC's own log has to say of a failed call, the command says in a sentence.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        code = _run(arguments)
    except BrokenPipeError:
        # Whoever read us has seen enough (`homeport units list | head`). Python would complain
        # once more when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.FAILED)
    except BaseException as error:  # raised again where it is not one of ours
        failure = None if isinstance(error, SystemExit) else failure_of(error)
        if failure is None:
            raise
        report(failure)
        sys.exit(failure.code)
    sys.exit(code)


def _collect_seldom() -> None:
    """Python's cycle collector would look through what a command imports several times, and once
    more at its end: a third of the processor time of a short one."""
    gc.set_threshold(YOUNG_OBJECTS, 20, 20)
    atexit.register(gc.freeze)


def _run(arguments: Sequence[str] | None) -> int:
    """The exit code. What is wrong with the command line is shown as the parser shows it, in our
    words."""
    from typer import rich_utils

    try:
        code = command()(args=arguments, prog_name="homeport", standalone_mode=False)
    except ClickException as error:
        reword(error)
        rich_utils.rich_format_error(error)
        return error.exit_code
    except typer.Abort:
        rich_utils.rich_abort_error()
        return ExitCode.FAILED
    return code if isinstance(code, int) else ExitCode.DONE


if __name__ == "__main__":
    main()
