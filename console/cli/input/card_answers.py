"""What somebody types to press a button of a card."""

from __future__ import annotations

from collections.abc import Mapping

from console.cli.failure import CommandFailed, ExitCode


def pressed_by(card: str, answer: str) -> tuple[str, Mapping[str, str]]:
    """The action and what was filled in. card: as JSON; empty: there is none. Raises CommandFailed
    where the answer presses nothing."""
    from deployment_units.services.cards.answers import Answered, Unclear, read_answer
    from deployment_units.services.cards.profile import check

    found = check(card) if card else []
    if isinstance(found, list):
        raise CommandFailed("there is no card in this message", ExitCode.REFUSED)
    if found.action(answer) is not None:
        return answer, {}
    read = read_answer(found, answer)
    if isinstance(read, Answered):
        return read.action.id, read.inputs
    said = (
        read.message
        if isinstance(read, Unclear)
        else "this presses nothing: answer with the number or the title of a button"
    )
    raise CommandFailed(said, ExitCode.USAGE)
