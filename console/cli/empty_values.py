"""Options and arguments that are given and empty, as `--server "$SERVER"` is without that variable.

They are refused, so that none of them means what is meant where nothing is given. Where empty
means something, an option's help says `empty: …`. An environment variable that is empty counts as
not set; that the parser does by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import typer


def refuse_empty(command: Any) -> None:
    """Of one command, whose parameters are all there."""
    if command.context_settings.get("ignore_unknown_options", False):
        return  # it becomes another program, which reads its words itself
    for param in command.params:
        done = getattr(param.process_value, "func", None) is _checked  # of another command's, too
        if not done and not takes_empty(param):
            param.process_value = partial(_checked, param, param.process_value)


def takes_empty(param: Any) -> bool:
    """Whether empty is a value of its own."""
    return "empty: " in (getattr(param, "help", None) or "")


def _checked(
    param: Any, process: Callable[[typer.Context, Any], Any], context: typer.Context, value: Any
) -> Any:
    """What the parser makes of the value. Raises typer.BadParameter."""
    given = value if isinstance(value, list | tuple) else (value,)
    source = context.get_parameter_source(param.name or "")
    if source is not None and source.name == "COMMANDLINE" and "" in given:
        left_out = "" if param.required else ", or leave it out"
        raise typer.BadParameter(f"it is empty; give it a value{left_out}", param=param)
    return process(context, value)
