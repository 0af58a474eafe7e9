"""Setting of a unit that sends notices by push services: which of them its accounts may use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import BaseModel, Field

from control_plane.errors import InvalidInput
from deployment_units.services.channels.push import read_allowed


class PushSettings(BaseModel):
    """Part of AgentSettings."""

    push: Annotated[
        str,
        Field(
            description="push services that accounts may have notices sent by, each SCHEMA=HOST, "
            "by comma, such as ntfys=ntfy.talk.example; SCHEMA=* is any host; needs accounts; "
            "empty: none"
        ),
    ] = ""

    def push_misfits(self, *, accounts: bool) -> Iterator[str]:
        """What is wrong with it, for people."""
        try:
            allowed = read_allowed(self.push)
        except InvalidInput as error:
            yield error.message
            return
        if allowed and not accounts:
            yield "notices are of accounts; add --accounts to --push"
