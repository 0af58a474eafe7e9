"""OutputCheck: holds the output of an action against the schema that its application declares."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from data_sharing.decisions.action_schemas import compiled_schema
from data_sharing.decisions.instruction_factory import FindVersion
from data_sharing.feeds.attributes import NUL, holds_nul
from data_sharing.instruction import Instruction, Performance, Performed


class OutputCheck:
    """By what the registry knows of applications. What no event may hold is no output either, for
    outcomes are events."""

    def __init__(self, find: FindVersion) -> None:
        self._find = find

    def checked(self, instruction: Instruction, performed: Performed) -> Performed:
        """The outcome; BAD_OUTPUT where the application broke the schema of its own output."""
        if performed.status is not Performance.DONE:
            return performed
        if _has_nul(performed.output):
            message = "its output holds U+0000, at which a text would end for conditions"
            return replace(performed, status=Performance.BAD_OUTPUT, message=message)
        version = self._find(instruction.tenant, instruction.application, instruction.version)
        action = version.manifest.action(instruction.action) if version is not None else None
        if action is None:
            return performed
        schema = compiled_schema(action.output)
        too_much = schema.too_much_work(performed.output.encode())
        if too_much:
            message = f"its output {too_much}"
            return replace(performed, status=Performance.BAD_OUTPUT, message=message)
        try:
            breach = schema.breach(msgspec.json.decode(performed.output))
        except msgspec.DecodeError as error:
            message = f"its output is not JSON: {error}"
        else:
            if breach is None:
                return performed
            message = f"its output breaks its schema at {breach.pointer or '/'}: {breach.message}"
        return replace(performed, status=Performance.BAD_OUTPUT, message=message)


def _has_nul(output: str) -> bool:
    """Of what is JSON; of anything else, no."""
    if NUL not in output:
        return False
    try:
        return holds_nul(msgspec.json.decode(output))
    except msgspec.DecodeError:
        return False
