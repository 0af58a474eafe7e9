"""How every service gets its settings: flags > environment > TOML file > default.

A service declares its fields in a subclass and calls `read` in its entry point; nothing else
reads any of them. Unknown flags and unknown keys of the file fail. Environment variables are
the field names in upper case behind the service's prefix, lists as JSON.
"""

from __future__ import annotations

import os
import sys
from argparse import SUPPRESS
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic_settings import (
    BaseSettings,
    CliSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from control_plane.errors import InvalidInput
from control_plane.secret_files import read_secret, visible_secret_warning


class ServiceSettings(BaseSettings):
    """Subclasses set `env_prefix` and `cli_prog_name`. toml: the file of this reading; secrets:
    fields that are better not given as flags, each of which has a field `…_file` beside it."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_avoid_json=True,
    )
    toml: ClassVar[Path | None] = None
    secrets: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        sources: list[PydanticBaseSettingsSource] = [init_settings, env_settings]
        if cls.toml is not None:
            sources.append(TomlConfigSettingsSource(settings_cls, toml_file=cls.toml))
        return tuple(sources)


S = TypeVar("S", bound=ServiceSettings)


def read(kind: type[S], arguments: Sequence[str]) -> S:
    """Settings from a command line without the program's name; `--config FILE` (or the
    variable CONFIG behind the prefix) names the TOML file.

    A secret that is given as a flag is taken, and said on stderr to be visible; one that is in a
    file is read from there. Raises pydantic.ValidationError, SystemExit for `--help` and unknown
    flags, FileNotFoundError for a file that is not there, tomllib.TOMLDecodeError, InvalidInput
    for a file of a secret.
    """
    variable = f"{kind.model_config['env_prefix']}CONFIG"
    rest, config = list(arguments), os.environ.get(variable)
    for place, word in enumerate(rest):
        if word == "--config" and place + 1 < len(rest):
            config = rest[place + 1]
            del rest[place : place + 2]
            break
        if word.startswith("--config="):
            config = rest.pop(place).partition("=")[2]
            break
    if config and not Path(config).is_file():
        raise FileNotFoundError(f"there is no settings file {config}")

    class Sourced(kind):  # type: ignore[misc, valid-type]
        toml: ClassVar[Path | None] = Path(config) if config else None

    sourced: Any = Sourced
    prefix = kind.model_config["env_prefix"]
    for name, field in sourced.model_fields.items():
        field.description = f"{field.description} [env: {prefix}{name.upper()}]"
    command_line: Any = CliSettingsSource(Sourced)
    for option, help_text in (
        ("--config", f"TOML file with these settings [env: {variable}]"),
        ("--version", "print the version and exit"),
    ):
        # --config is taken out of the arguments before: it says where settings come from.
        action = {"action": "version", "version": _version_line(kind)}
        command_line.root_parser.add_argument(
            option,
            default=SUPPRESS,
            help=help_text,
            **(action if option == "--version" else {"metavar": "FILE"}),
        )
    given: dict[str, Any] = sourced(_cli_settings_source=command_line(args=rest)).model_dump()
    for name in kind.secrets:
        _read_secret(kind, name, given, rest)
    return kind.model_construct(**given)


def _read_secret(
    kind: type[ServiceSettings], name: str, given: dict[str, Any], arguments: Sequence[str]
) -> None:
    """Puts the content of `<name>_file`, where one is named, into `name`. Raises InvalidInput."""
    option = f"--{name.replace('_', '-')}"
    program, prefix = kind.model_config["cli_prog_name"], kind.model_config["env_prefix"]
    shown = any(word == option or word.startswith(f"{option}=") for word in arguments)
    if shown:
        warning = visible_secret_warning(option, f"{prefix}{name.upper()}", f"{option}-file")
        print(f"{program}: warning: {warning}", file=sys.stderr)
    file = given[f"{name}_file"]
    if file is None:
        return
    named = any(word.partition("=")[0] == f"{option}-file" for word in arguments)
    if given[name] and (shown or not named):  # a flag wins over the environment
        raise InvalidInput(name, f"{name} and {name}_file are both given; leave one out")
    given[name] = read_secret(f"{name}_file", file)


def _version_line(kind: type[ServiceSettings]) -> str:
    return f"{kind.model_config['cli_prog_name']} {version('homeport-server')}"
