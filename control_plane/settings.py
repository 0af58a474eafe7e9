"""How every service gets its settings: flags > environment > TOML file > default.

A service declares its fields in a subclass and calls `read` in its entry point; nothing else
reads any of them. Unknown flags and unknown keys of the file fail. Environment variables are
the field names in upper case behind the service's prefix, lists as JSON.

An environment variable that is empty counts as not set. What a flag or the file gives and leaves
empty is refused, so that it never means what is meant where nothing is given; empty is a value only
where a setting's description says what it means (`empty: …`).
"""

from __future__ import annotations

import os
import re
import sys
from argparse import SUPPRESS
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from pydantic import ValidationError, model_validator
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    CliSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from control_plane.errors import InvalidInput
from control_plane.secret_files import read_secret, visible_secret_warning

_EMPTY = PydanticCustomError("empty", "it is empty; give it a value, or leave it out")


class Misfits(ValueError):
    """Settings that are well each by itself and do not go together: one message for each case."""

    def __init__(self, messages: Sequence[str]) -> None:
        super().__init__("; ".join(messages))
        self.messages = tuple(messages)


def problems_of(error: ValidationError) -> Iterator[tuple[str, str]]:
    """Each thing that is wrong: with which setting, and what."""
    for problem in error.errors(include_url=False):
        where = ".".join(str(part) for part in problem["loc"]) or "settings"
        yield from ((where, said) for said in messages_of(problem))


def messages_of(problem: ErrorDetails) -> Sequence[str]:
    """What one of pydantic's errors says; of a check of ours its own words alone, before which
    pydantic puts "Value error, "."""
    cause = problem.get("ctx", {}).get("error")
    if isinstance(cause, Misfits):
        return cause.messages
    return (str(cause) if isinstance(cause, Exception) else problem["msg"],)


def said_by(*checks: Callable[[], object]) -> Iterator[str]:
    """What those of the checks say that raise ValueError."""
    for check in checks:
        try:
            check()
        except ValueError as error:
            yield str(error)


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
        if isinstance(env_settings, EnvSettingsSource):
            prefix = str(settings_cls.model_config["env_prefix"]).lower()
            env_settings.env_vars = {
                name: value
                for name, value in env_settings.env_vars.items()
                if value or takes_empty(settings_cls, name.removeprefix(prefix))
            }
        sources: list[PydanticBaseSettingsSource] = [init_settings, env_settings]
        if cls.toml is not None:
            sources.append(TomlConfigSettingsSource(settings_cls, toml_file=cls.toml))
        return tuple(sources)

    def written_files(self) -> Iterator[tuple[str, Path | None]]:
        """Subclasses say here which settings name files that the program makes, each with the file;
        `written_folders`: which name folders."""
        yield "ready_file", getattr(self, "ready_file", None)

    def written_folders(self) -> Iterator[tuple[str, Path | None]]:
        """See `written_files`."""
        yield from ()

    def misfits(self) -> Iterator[str]:
        """Subclasses say here what does not go together, after what `super()` says."""
        yield from ()

    @model_validator(mode="before")
    @classmethod
    def _nothing_empty(cls, given: Any) -> Any:
        """What the environment leaves empty has not come this far."""
        empty = [name for name, value in given.items() if value == "" and name in cls.model_fields]
        faults = [
            InitErrorDetails(type=_EMPTY, loc=(name,), input="")
            for name in empty
            if not takes_empty(cls, name)
        ]
        if faults:
            raise ValidationError.from_exception_data(cls.__name__, faults)
        return given

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        found = tuple(self.misfits())
        if found:
            raise Misfits(found)
        return self


def takes_empty(kind: type[BaseSettings], name: str) -> bool:
    """Whether empty is a value of a setting: then its description says what it means."""
    field = kind.model_fields.get(name)
    return field is not None and "empty: " in (field.description or "")


S = TypeVar("S", bound=ServiceSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsSources:
    """Where the settings of one reading come from. kind: the settings, with the file; arguments:
    without what names the file; file: None where there is none."""

    kind: Any
    command_line: Any
    arguments: list[str]
    file: Path | None


def read(kind: type[S], arguments: Sequence[str]) -> S:
    """Settings from a command line without the program's name; `--config FILE` (or the
    variable CONFIG behind the prefix) names the TOML file.

    A secret that is given as a flag is taken, and said on stderr to be visible; one that is in a
    file is read from there. Raises pydantic.ValidationError, SystemExit for `--help` and unknown
    flags, FileNotFoundError for a file that is not there, tomllib.TOMLDecodeError, SettingsError
    for a value that is no JSON where that is asked for, InvalidInput for a file of a secret.
    """
    sources = sources_of(kind, arguments)
    command_line = sources.command_line(args=sources.arguments)
    given: dict[str, Any] = sources.kind(_cli_settings_source=command_line).model_dump()
    for name in kind.secrets:
        read_secret_of(kind, name, given, sources.arguments)
    return kind.model_construct(**given)


def sources_of(kind: type[ServiceSettings], arguments: Sequence[str]) -> SettingsSources:
    """Nothing is read yet. Raises FileNotFoundError."""
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
        field.description = f"{field.description or ''} [env: {prefix}{name.upper()}]".lstrip()
    command_line: Any = CliSettingsSource(Sourced)
    for shown in command_line.root_parser._actions:  # argparse has no public list of them
        shown.metavar = _metavar(shown.metavar)
        shown.help = _UNSET.sub("", shown.help or "")
    for option, help_text in (
        ("--config", f"TOML file with these settings [env: {variable}]"),
        ("--check-config", "read and check everything, say what is in force, and end"),
        ("--output", "of --check-config: table or json"),
        ("--version", "print the version and exit"),
    ):
        # Taken out of the arguments before, but for the last: they say where settings come from,
        # and what becomes of them.
        action: dict[str, Any] = {"metavar": "FILE" if option == "--config" else "FORMAT"}
        if option == "--version":
            action = {"action": "version", "version": version_line(kind)}
        elif option == "--check-config":
            action = {"action": "store_true"}
        names = ("-o", option) if option == "--output" else (option,)
        command_line.root_parser.add_argument(*names, default=SUPPRESS, help=help_text, **action)
    return SettingsSources(
        kind=sourced,
        command_line=command_line,
        arguments=rest,
        file=Path(config) if config else None,
    )


_UNSET = re.compile(r"\s*\(default: (?:None|\[\]|\{\}|)\)$")
_METAVARS = {"Path": "FILE", "str": "TEXT", "int": "NUMBER", "float": "NUMBER",
             "list[str]": "TEXT,TEXT"}  # fmt: skip


def _metavar(named: Any) -> Any:
    """What help says may be given for an option, for what Python calls its type."""
    if not isinstance(named, str):
        return named
    if "dict[" in named:
        return "JSON"
    kinds = [kind for kind in named.strip("{}").split(",") if kind != "None"]
    if len(kinds) == 1:
        return _METAVARS.get(kinds[0], kinds[0])
    return f"{{{','.join(kinds)}}}"


def read_secret_of(
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


def version_line(kind: type[ServiceSettings]) -> str:
    """The program and its version."""
    return f"{kind.model_config['cli_prog_name']} {version('homeport-server')}"
