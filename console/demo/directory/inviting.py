"""Chapter 3: Contoso proves a domain; an invitation to one of its addresses reaches the account of
Contoso, says why, and is judged again when it is accepted."""

from __future__ import annotations

import hashlib

from console.cli.calls.invites import InviteCalls
from console.cli.calls.organisations import OrganisationCalls
from console.demo.directory.demo_stack import STOCKHOLM, DemoStack
from console.demo.directory.proving import prove_by_mail
from console.demo.directory.story import Story
from homeport import errors
from homeport.api.communication.v1 import invite_pb2
from homeport.api.directory.v1 import organisation_pb2 as pb

CONTOSO, FABRIKAM, NORTHWIND = "contoso", "fabrikam", "northwind"
DOMAIN, ADDRESS = "contoso.example", "ben@eu.contoso.example"
LAUNCH = "launch"
BENS = {CONTOSO: "ben-contoso", FABRIKAM: "ben-fabrikam"}
REQUEST = hashlib.sha256(b"the demo's invitation").digest()[:16]


def invite(story: Story, stack: DemoStack) -> None:
    """Tells it."""
    for account in BENS.values():
        stack.client.provision(account, address=STOCKHOLM)
        prove_by_mail(story, stack, account, ADDRESS, label="work", findable=False, whose="his")
    with OrganisationCalls(stack.target) as calls:
        organise(calls)
        prove_domain(story, stack, calls)
    with inviter(stack) as anna:
        made = anna.send(NORTHWIND, LAUNCH, ADDRESS, REQUEST, 86_400.0)
        story.check(
            "Anna of Northwind invites him to [bold]launch[/], and is told that it is open, and "
            "nothing of whom it reaches",
            [invite_pb2.INVITE_STATE_OPEN, ""],
            [made.state, made.account],
        )
    brought = stack.until("the invitation at Ben's account of Contoso", lambda: listed(
        stack, BENS[CONTOSO]
    ))[0]  # fmt: skip
    story.check(
        "it reaches his account of Contoso, by the domain above the address, and he reads why",
        [("PRIMARY_MEMBER", CONTOSO), ("RESPONSIBLE_DOMAIN", DOMAIN)],
        [(one.rule, one.value) for one in brought.why],
    )
    story.check("and not the one of Fabrikam", [], listed(stack, BENS[FABRIKAM]))
    accept(story, stack, made.invitation)


def organise(calls: OrganisationCalls) -> None:
    """Three organisations with their members, and Northwind's group."""
    for name, members in (
        (NORTHWIND, ("anna",)),
        (CONTOSO, (BENS[CONTOSO],)),
        (FABRIKAM, (BENS[FABRIKAM],)),
    ):
        calls.apply(pb.Organisation(organisation=name, name=name.capitalize(), owners=members))
        for account in members:
            calls.set_member(pb.Member(account=account, organisation=name, active=True))
    calls.apply_group(NORTHWIND, LAUNCH, guests=True)


def prove_domain(story: Story, stack: DemoStack, calls: OrganisationCalls) -> None:
    """Contoso publishes the record that it was told; Fabrikam does not."""
    record = {name: calls.domain("ClaimDomain", name, DOMAIN) for name in (CONTOSO, FABRIKAM)}[
        CONTOSO
    ]
    stack.records.publish(record.record_name, record.record_value)
    story.tell(f"[dim]{record.record_name} TXT {record.record_value}[/]")
    proved = calls.domain("VerifyDomain", CONTOSO, DOMAIN)
    primary = calls.domain("SetPrimaryOrganisation", CONTOSO, DOMAIN, primary=CONTOSO)
    story.check(
        f"Contoso publishes a TXT record, and [bold]{DOMAIN}[/] is its own, and its invitations",
        [CONTOSO, CONTOSO],
        [proved.organisation, primary.primary],
    )
    reason = ""
    try:
        calls.domain("VerifyDomain", FABRIKAM, DOMAIN)
    except errors.HomeportError as error:
        reason = error.reason
    story.check("Fabrikam claims it without a record: refused, NO_RECORD", "NO_RECORD", reason)


def accept(story: Story, stack: DemoStack, invitation: str) -> None:
    """A policy that changes before he accepts counts; allowed again, it goes through."""
    may_visit(stack, pb.OPENNESS_NOBODY)
    reason = ""
    try:
        with InviteCalls.at(stack.target, stack.client.provision(BENS[CONTOSO])) as ben:
            ben.accept(invitation, "")
    except errors.HomeportError as error:
        reason = error.reason
    story.check(
        "Contoso forbids its members to be guests before he accepts: judged again, and refused, "
        "VISITS_FORBIDDEN",
        "VISITS_FORBIDDEN",
        reason,
    )
    may_visit(stack, pb.OPENNESS_ANYBODY)
    with InviteCalls.at(stack.target, stack.client.provision(BENS[CONTOSO])) as ben:
        accepted = ben.accept(invitation, "")
    story.check(
        "allowed again, it goes through",
        invite_pb2.InviteState.Name(invite_pb2.INVITE_STATE_ACCEPTED),
        invite_pb2.InviteState.Name(accepted.state),
    )

    def answered() -> invite_pb2.Invite | None:
        found = [one for one in listed(stack, "anna") if one.account]
        return found[0] if found else None

    told = stack.until("what came of it, with Anna", answered)
    with inviter(stack) as anna:
        talk = anna.conversation(NORTHWIND, LAUNCH)
    with stack.person("anna") as person:
        said = [one.content.text for one in person.messages(talk.conversation)]
    story.check(
        "Anna is told who accepted, and the conversation of the group has the two of them",
        [BENS[CONTOSO], [BENS[CONTOSO]], [f"{BENS[CONTOSO]} joined {LAUNCH} of {NORTHWIND}."]],
        [told.account, list(talk.members), said],
    )


def may_visit(stack: DemoStack, visits: pb.Openness.ValueType) -> None:
    """In whose groups Contoso's members may be."""
    with OrganisationCalls(stack.target) as calls:
        changed = calls.get(CONTOSO)
        changed.policy.visits = visits
        calls.apply(changed)


def inviter(stack: DemoStack) -> InviteCalls:
    """Anna's calls; to be opened."""
    return InviteCalls.at(stack.target, stack.client.provision("anna"))


def listed(stack: DemoStack, account: str) -> list[invite_pb2.Invite]:
    """The invitations of an account."""
    with InviteCalls.at(stack.target, stack.client.provision(account)) as calls:
        return calls.all()
