"""Reading mail, as tasks for child processes: a group at a time, since a process is forked for it.

`python -m control_plane.offloading.child` imports this. A mail that cannot be read is an answer
of its own; one that costs too much ends the whole group, and its reader gives each alone then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from control_plane.errors import InvalidInput
from control_plane.offloading.port import Ask, Task
from deployment_units.services.mail_in.reading import MailToRead, read_incoming
from deployment_units.services.mail_in.signatures import check_signatures

READ = "read"


def read_mails(arguments: Any, ask: Ask) -> Any:
    """Of each mail ["read", what it says] or ["refused", field, message]."""
    return [_read(msgspec.convert(one, MailToRead)) for one in arguments]


def _read(mail: MailToRead) -> list[Any]:
    try:
        found = check_signatures(mail.content, mail.keys) if mail.keys else ()
        return ["read", msgspec.to_builtins(read_incoming(mail, found), builtin_types=(bytes,))]
    except InvalidInput as refused:
        return ["refused", refused.field, refused.message]


TASKS: Mapping[str, Task] = {READ: read_mails}
