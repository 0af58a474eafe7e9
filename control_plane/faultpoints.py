"""Fault points: labelled places in the write path where a test can have the process killed.

`HOMEPORT_FAULT_POINT=<label>:<n>` makes the n-th passing of that label a SIGKILL, which no
handler, buffer or destructor survives: what a power cut does, at a place of our choosing.
Unset, as everywhere but in tests, `passing` is a function that does nothing (30 ns). An idea
of gofail (https://github.com/etcd-io/gofail), with which etcd tests itself.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

VARIABLE = "HOMEPORT_FAULT_POINT"
LABELS = (
    "session.opened",
    "ledger.grant.before",
    "ledger.grant.after",
    "ledger.commit.before",
    "ledger.commit.after",
    "ledger.answer.before",
    "ledger.answer.after",
    "ledger.return.before",
    "ledger.return.after",
    "ledger.reclaim.before",
    "ledger.reclaim.after",
)
DECIDING = (
    "decide.events.before",  # events are written, nothing is decided
    "decide.events.after",  # decided, and not committed
    "decide.timers.before",
    "decide.timers.after",
    "dispatch.claim.after",  # an instruction is claimed for a platform, and not sent
    "dispatch.outcome.before",  # an outcome came, and is not recorded
    "dispatch.outcome.after",  # recorded, and not acknowledged
    "platform.begin.after",  # an action is noted, and does not run yet
    "platform.run.after",  # it ran, and nothing says so
    "platform.end.after",  # its outcome is on disk, and not told
)
REPLICATING = (
    "changelog.capture.before",  # a transaction is decided, and its changes are not read yet
    "changelog.append.before",  # they are, and the changelog does not have them
    "changelog.batch.part",  # some messages of a large commit were sent, and not its last one
    "changelog.append.after",  # it has, and the file of this worker does not
    "changelog.committed",  # the file has it, and no caller was answered
)
TAKING_OVER = (
    "takeover.leased",  # the partition is this worker's, and nothing else is done
    "takeover.restored",  # a snapshot is here, and is not the file yet
    "takeover.applied",  # a commit is in the file, and others are missing
    "takeover.begun",  # the term is in the changelog, and nobody is served
)
KEEPING_SNAPSHOTS = (
    "snapshot.copied",  # the file is copied, and the changelog has no snapshot
    "snapshot.put",  # it has one that no commit names
    "snapshot.named",  # a commit names it, and those before it are kept
    "snapshot.trimmed",  # they are not, and older snapshots are
)
SHARDS = (
    "shards.taken_over",
    "shards.licensed",
    "shards.copied",
    "shards.frozen",
    "shards.fenced",
    "shards.closed",
    "shards.switched",
    "shards.opened",
    "shards.cleared",
    "shards.finished",
)
AUDITING = (
    "audit.asked",  # what is asked is in the log, and nothing is changed yet
    "audit.committed",  # a transaction of the change was made, and its method does not know yet
    "audit.changed",  # all of it is, and its outcome is not in the log
    "audit.ended",  # it is, and the caller has no answer
)
REMOVING = (
    "tenants.marked",  # a tenant takes no clients any more
    "tenants.released",  # some of its clients were released
    "tenants.emptied",  # it has none, and still stands
)
COUNTING = (
    "quotas.page",  # some of the clients from before are counted
    "quotas.counted",  # all are, and nothing is written
    "quotas.added",  # they are in the count, and the bound is in force
)
CLAIMING = (
    "claim.commit.before",  # all is decided, and the claim is nobody's yet
    "claim.commit.after",  # it is, and the caller has no answer
    "proof.try.after",  # a wrong code is counted, and not answered
)
NUMBERING = (
    "number.assign.before",  # a number is chosen for an account, and nobody's yet
    "number.assign.after",  # it is the account's, and the caller has no answer
)
CHECKING_DOMAINS = (
    "domain.checked.after",  # name servers have said it, and nothing is written yet
)
MOVING = (
    "moves.claim.after",
    "moves.page.before",
    "moves.page.after",
    "moves.progress.before",
    "moves.progress.after",
    "moves.commit.before",
    "moves.commit.after",
    "moves.handoff.before",
    "moves.handoff.after",
    "moves.end.before",
    "moves.end.after",
)

IMPORTING = (
    "import.flip.before",  # all of an account is in the new unit, and does not count yet
    "import.flip.after",  # it counts, and nobody was told
)
ANSWERING = (
    "click.kept.after",  # a press is kept, and not answered
    "feeds.published.after",  # messages and presses are in the feeds, and nothing here says so
    "reply.kept.before",  # an application has answered, and nothing of it is kept
    "reply.kept.after",  # it is, and nobody was told
)
LINKING = (
    "link.allocated.after",  # a stranger has a technical number, within the call's transaction
)
DELIVERING = (
    "message.kept.after",  # a client's message is kept, and not answered
    "outbox.sent.before",  # a message is about to be brought to somebody's unit
    "outbox.sent.after",  # it is there, and nothing here says so
    "receipt.kept.before",  # somebody was told that it was seen, and nothing here says so
    "mail.handed.before",  # a mail is about to be handed to the unit of its account
    "mail.handed.after",  # it is kept there, and who brought it is not told
    "mail.brought.after",  # another unit brought it, it is kept, and that unit is not told
)
INVITING = (
    "invite.kept.after",  # a wish is kept, and the directory was not asked
    "invite.asked.after",  # the directory has done it, and nothing here says so
    "invite.brought.after",  # another unit has it, and nothing here says so
    "invite.letter.before",  # that a letter goes is kept, and it did not go
    "invite.letter.after",  # it went, and nothing here says so
    "invite.joined.after",  # who accepted has joined the conversation, and who invited is not told
)


def _nothing(label: str) -> None:
    """No fault point is armed."""


def armed(setting: str) -> Callable[[str], None]:
    """What `passing` is under this setting: `label` or `label:n`, n from 1. Raises ValueError
    for a label that is nowhere, because a test that arms it would test nothing."""
    label, _, count = setting.partition(":")
    known = (
        *LABELS, *SHARDS, *MOVING, *DECIDING, *REMOVING, *COUNTING, *AUDITING, *CLAIMING,
        *CHECKING_DOMAINS, *NUMBERING, *IMPORTING, *ANSWERING, *LINKING, *DELIVERING, *INVITING,
        *REPLICATING, *TAKING_OVER, *KEEPING_SNAPSHOTS,
    )  # fmt: skip
    if label not in known:
        raise ValueError(f"{VARIABLE} names no fault point: {label}; there are {', '.join(known)}")
    left = int(count or 1)

    def passing(at: str) -> None:
        nonlocal left
        if at == label:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return passing


passing: Callable[[str], None] = (
    armed(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else _nothing
)
"""Says that the process is at `label` now."""
