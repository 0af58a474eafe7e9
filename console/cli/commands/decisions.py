"""`homeport decisions` and `homeport dlq`: what was decided and why, and what could not be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.cli.markup import escape
from console.cli.options import (
    MOST_INT64,
    Ca,
    DataServer,
    Output,
    Profile,
    Tenant,
    Token,
    data_target_of,
)
from console.cli.output import Format, note, show

if TYPE_CHECKING:
    from homeport.api.datasharing.v1 import decision_pb2 as messages

app = typer.Typer(help="What was decided over feeds, and why.", no_args_is_help=True)
dlq = typer.Typer(help="What could not be decided or carried out.", no_args_is_help=True)

Limit = Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, newest first.")]
InstructionId = Annotated[str, typer.Argument(help="The instruction's id.", metavar="INSTRUCTION")]
LetterId = Annotated[str, typer.Argument(help="The dead letter's id.", metavar="LETTER")]


@app.command("list")
def list_decisions(
    plan: Annotated[str, typer.Option(help="Only of this plan.")] = "",
    rule: Annotated[str, typer.Option(help="Only of this rule.")] = "",
    limit: Limit = 50,
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Lists decisions, newest first."""
    from console.cli.calls.decisions import DecisionCalls
    from console.cli.views.decisions import decision_document, decisions_table

    target = data_target_of(server, tenant, token, profile, ca)
    with DecisionCalls(target) as calls:
        found = calls.list_decisions(target.tenant, plan_id=plan, rule_id=rule, limit=limit)
    document = {"decisions": [decision_document(one) for one in found]}
    show(document, output, lambda: decisions_table(found))


@app.command("explain")
def explain(
    name: Annotated[
        str,
        typer.Argument(
            help="A decision's id, an event's position in the log, or its SOURCE#ID.", metavar="ID"
        ),
    ],
    purpose: Annotated[
        str,
        typer.Option(
            help="What for: needed to see an event of a feed with a sharing policy.",
            metavar="TEXT",
        ),
    ] = "",
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Explains why it came to what it did, and why not to more.

    Rule by rule and clause by clause, with the values that were met, as they were then; also
    for an event on which nothing fired.
    """
    from console.cli.calls.decisions import DecisionCalls
    from console.cli.views.decisions import explanation_document, explanation_view

    event = _event_of(name)
    target = data_target_of(server, tenant, token, profile, ca)
    with DecisionCalls(target) as calls:
        answer = calls.explain(
            target.tenant,
            decision_id="" if event is not None else name,
            event=event,
            purpose=purpose,
        )
    show(explanation_document(answer), output, lambda: explanation_view(answer))


@app.command("ancestry")
def show_ancestry(
    name: Annotated[
        str,
        typer.Argument(
            help="Id of a decision, an instruction or a dead letter, an event's position in the "
            "log, or its SOURCE#ID.",
            metavar="ID",
        ),
    ],
    depth: Annotated[
        int, typer.Option(help="At most so many steps away, either way.", min=1, max=1_000)
    ] = 64,
    nodes: Annotated[
        int, typer.Option(help="At most so many, the nearest first.", min=1, max=1_000)
    ] = 200,
    svg: Annotated[
        Path | None, typer.Option(help="Write a picture of it there.", metavar="FILE")
    ] = None,
    purpose: Annotated[
        str,
        typer.Option(
            help="What for: needed to see what events of feeds with a sharing policy are about.",
            metavar="TEXT",
        ),
    ] = "",
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Shows all that led to it, and all that followed.

    Events, decisions, instructions, outcomes and dead letters, as far as they are kept.
    """
    from console.cli.calls.decisions import DecisionCalls
    from console.cli.views.ancestry import ancestry_document, ancestry_view
    from console.cli.views.ancestry_picture import picture_of
    from control_plane.files import replace_file
    from control_plane.written_paths import check_written_file

    if svg is not None:
        check_written_file(svg, "--svg")
    event = _event_of(name)
    target = data_target_of(server, tenant, token, profile, ca)
    with DecisionCalls(target) as calls:
        answer = calls.ancestry(
            target.tenant, node_id="" if event is not None else name, event=event,
            purpose=purpose, max_depth=depth, max_nodes=nodes,
        )  # fmt: skip
    show(ancestry_document(answer), output, lambda: ancestry_view(answer))
    if svg is not None:
        replace_file(svg, picture_of(answer).encode())
        note(f"the picture is in {svg}")


def _event_of(name: str) -> messages.EventName | None:
    """An event by its position or SOURCE#ID; None: it is something else's id."""
    from homeport.api.datasharing.v1 import decision_pb2 as messages

    if name.isdecimal():
        if len(name) > 19 or int(name) > MOST_INT64:
            raise typer.BadParameter(f"no event's position is that large: {name[:40]}")
        return messages.EventName(position=int(name))
    if "#" in name:
        source, _, event_id = name.rpartition("#")
        return messages.EventName(source=source, id=event_id)
    return None


@app.command("instructions")
def list_instructions(
    waiting: Annotated[
        bool, typer.Option("--waiting", help="Only those that wait for approval.")
    ] = False,
    limit: Limit = 50,
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Lists instructions with what became of them, newest first."""
    from console.cli.calls.decisions import DecisionCalls
    from console.cli.views.decisions import instruction_document, instructions_table
    from homeport.api.datasharing.v1 import decision_pb2 as messages

    state = messages.INSTRUCTION_STATE_AWAITING_APPROVAL if waiting else 0
    target = data_target_of(server, tenant, token, profile, ca)
    with DecisionCalls(target) as calls:
        found = calls.list_instructions(target.tenant, state=state, limit=limit)
    document = {"instructions": [instruction_document(one) for one in found]}
    show(document, output, lambda: instructions_table(found))


@app.command("approve")
def approve(
    instruction: InstructionId,
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Lets an instruction go that waits for approval."""
    from console.cli.calls.decisions import DecisionCalls
    from console.cli.views.decisions import instruction_document, instruction_line

    target = data_target_of(server, tenant, token, profile, ca)
    with DecisionCalls(target) as calls:
        done = calls.approve(target.tenant, instruction)
    show(instruction_document(done), output, lambda: instruction_line(done))


@app.command("deny")
def deny(
    instruction: InstructionId,
    reason: Annotated[str, typer.Option(help="Why, for the dead letter.")] = "",
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Ends an instruction that waits for approval; it becomes a dead letter."""
    from console.cli.calls.decisions import DecisionCalls
    from console.cli.views.decisions import instruction_document, instruction_line

    target = data_target_of(server, tenant, token, profile, ca)
    with DecisionCalls(target) as calls:
        done = calls.deny(target.tenant, instruction, reason)
    show(instruction_document(done), output, lambda: instruction_line(done))


@dlq.command("list")
def list_letters(
    with_redriven: Annotated[
        bool, typer.Option("--with-redriven", help="Also those that were tried again.")
    ] = False,
    limit: Limit = 50,
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Lists dead letters, newest first."""
    from console.cli.calls.decisions import DecisionCalls
    from console.cli.views.decisions import dead_letters_table, letter_document

    target = data_target_of(server, tenant, token, profile, ca)
    with DecisionCalls(target) as calls:
        found = calls.list_dead_letters(target.tenant, with_redriven=with_redriven, limit=limit)
    document = {"dead_letters": [letter_document(one) for one in found]}
    show(document, output, lambda: dead_letters_table(found))


@dlq.command("show")
def show_letter(
    letter: LetterId,
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Shows one dead letter with its event or instruction."""
    from console.cli.calls.decisions import DecisionCalls
    from console.cli.views.decisions import dead_letters_table, letter_document

    target = data_target_of(server, tenant, token, profile, ca)
    with DecisionCalls(target) as calls:
        found = calls.get_dead_letter(target.tenant, letter)
    show(letter_document(found), output, lambda: dead_letters_table([found]))


@dlq.command("redrive")
def redrive(
    letter: LetterId,
    force: Annotated[
        bool, typer.Option("--force", help="Also where an action may be performed twice by it.")
    ] = False,
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Tries again, once: the event is decided anew, or the instruction is sent anew."""
    from console.cli.calls.decisions import DecisionCalls
    from console.cli.views.decisions import letter_document

    target = data_target_of(server, tenant, token, profile, ca)
    with DecisionCalls(target) as calls:
        done = calls.redrive(target.tenant, letter, force=force)
    show(letter_document(done), output, lambda: escape(f"{letter} is tried again"))
