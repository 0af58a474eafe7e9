"""What of a document of sharing policies is done in a process of its own: reading and checking."""

from __future__ import annotations

from typing import Any

import msgspec

from control_plane.offloading.port import Ask
from data_sharing.sharing.policy import parse_policies

READ = "read-sharing"


def read_task(arguments: Any, ask: Ask) -> Any:
    """A text to its policies as JSON."""
    return msgspec.json.encode(parse_policies(arguments))
