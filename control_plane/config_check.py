"""`--check-config`: what a start would read and refuse, without starting anything.

Every setting, with its value and where it comes from, and all that is wrong, each with its own
line. Files are read as a start reads them; no port is opened, no store asked, nothing written.
Secrets are never shown, and neither is what a URL has before its host.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource, TomlConfigSettingsSource

from control_plane.errors import InvalidInput, ServiceError
from control_plane.printable import printable, printable_json, why_unreadable
from control_plane.settings import (
    ServiceSettings,
    SettingsSources,
    messages_of,
    read_secret_of,
    sources_of,
    version_line,
)
from control_plane.written_paths import refuse_unwritable

FLAG = "--check-config"
HIDDEN = "********"
_OUTPUT = ("-o", "--output")
_IN_URLS = re.compile(r"//[^\s\"']*@")


class Origin(StrEnum):
    """Where a value comes from; the first that has one counts."""

    FLAG = "flag"
    ENVIRONMENT = "environment"
    FILE = "file"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What a start would refuse. setting: "" where it is none's alone."""

    setting: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """One setting. where: the flag, variable or file that says so, None for a default."""

    name: str
    value: object
    origin: Origin
    where: str | None


@dataclass(slots=True, kw_only=True)
class Report:
    """What was found. `faults` empty: it would start, as far as settings and files go."""

    program: str
    settings: list[InForce] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def as_json(self) -> str:
        """One document."""
        document = {
            "program": self.program,
            "valid": not self.faults,
            "settings": [
                {"name": one.name, "value": one.value, "source": one.origin, "where": one.where}
                for one in self.settings
            ],
            "faults": [{"setting": one.setting, "message": one.message} for one in self.faults],
        }
        return printable_json(json.dumps(document, indent=2, ensure_ascii=False))

    def as_table(self) -> str:
        """A line for each setting: name, value, where it comes from."""
        rows = [
            (one.name, _text(one.value), one.origin + (f" {one.where}" if one.where else ""))
            for one in self.settings
        ]
        names = max((len(name) for name, _, _ in rows), default=0)
        values = min(60, max((len(value) for _, value, _ in rows), default=0))
        lines = [f"{name:{names}}  {value:{values}}  {said}".rstrip() for name, value, said in rows]
        return "\n".join([self.program, *map(printable, lines)])


S = TypeVar("S", bound=ServiceSettings)
Checks = Callable[[S], Iterable[Callable[[], object]]]


def asked_for(arguments: Sequence[str]) -> tuple[list[str], str] | None:
    """The arguments without those of this module, and the format; None: it is not asked for.
    Raises InvalidInput for a format that there is not, or one of nothing."""
    if FLAG not in arguments:
        if any(word.partition("=")[0] in _OUTPUT for word in arguments):
            raise InvalidInput("output", f"--output says how {FLAG} shows things; add {FLAG}")
        return None
    rest, output, words = [], "table", iter(arguments)
    for word in words:
        name, separator, value = word.partition("=")
        if name in _OUTPUT:
            output = value if separator else next(words, "")
        elif word != FLAG:
            rest.append(word)
    if output not in ("table", "json"):
        raise InvalidInput("output", f"--output {output}: there are table and json")
    return rest, output


def check_config(kind: type[S], arguments: Sequence[str], checks: Checks[S]) -> Report:
    """checks: what a start does with settings that are well by themselves, each call raising
    ServiceError, OSError or ValueError for what it refuses. Raises SystemExit for `--help` and
    unknown flags."""
    report = Report(program=version_line(kind))
    try:
        sources = sources_of(kind, arguments)
    except FileNotFoundError as error:
        report.faults.append(Fault(setting="config", message=str(error)))
        return report
    layers = _layers(sources, report)
    given: dict[str, Any] = {}
    for origin in (Origin.FILE, Origin.ENVIRONMENT, Origin.FLAG):
        given = _merged(given, layers[origin])
    settings = _validated(kind, given, report)
    wrong = {fault.setting.partition(".")[0] for fault in report.faults}
    values = settings.model_dump() if settings is not None else {**_defaults(kind), **given}
    shown = {name: given[name] for name in wrong & set(given)}
    if settings is not None:
        for name in kind.secrets:
            with _reporting(report):
                read_secret_of(kind, name, values, sources.arguments)
        report.faults += [
            Fault(setting="settings", message=said) for said in kind.misfits(settings)
        ]
        read = kind.model_construct(**values)
        for name, path, folder in _written(read):
            with _reporting(report):
                refuse_unwritable(path, f"--{name.replace('_', '-')}", folder=folder)
        for check in checks(read):
            with _reporting(report):
                check()
    report.settings = list(_in_force(kind, sources, layers, {**values, **shown}))
    return report


def _written(settings: ServiceSettings) -> Iterator[tuple[str, Path, bool]]:
    """The paths that a start writes to: setting, path, and whether it is a folder."""
    for folder, paths in (False, settings.written_files()), (True, settings.written_folders()):
        for name, path in paths:
            if path is not None:
                yield name, path, folder


def _layers(sources: SettingsSources, report: Report) -> dict[Origin, dict[str, Any]]:
    """What each source says. One that cannot be read says nothing, and is a fault."""
    found: dict[Origin, dict[str, Any]] = {origin: {} for origin in Origin}
    with _reporting(report):
        found[Origin.FLAG] = sources.command_line(args=sources.arguments)()
    with _reporting(report):
        found[Origin.ENVIRONMENT] = EnvSettingsSource(sources.kind)()
    if sources.file is not None:
        with _reporting(report):
            found[Origin.FILE] = TomlConfigSettingsSource(sources.kind, toml_file=sources.file)()
    return found


class _reporting:
    """What a start refuses inside becomes faults of the report."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def __enter__(self) -> None:
        """Nothing is held."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, BaseExceptionGroup):
            known = all(isinstance(one, ServiceError) for one in error.exceptions)
            found: Sequence[BaseException] = error.exceptions if known else [error]
        else:
            found = [error] if error is not None else []
        for one in found:
            if not isinstance(one, ServiceError | OSError | ValueError):
                return False
            self._report.faults.append(_fault_of(one))
        return True


def _fault_of(error: Exception) -> Fault:
    setting, message = "settings", hide_credentials(str(error))
    if isinstance(error, InvalidInput):
        setting = error.field
    elif isinstance(error, tomllib.TOMLDecodeError | UnicodeError):
        setting, message = "config", f"settings file: {why_unreadable(error)}"
    elif isinstance(error, OSError):
        message = f"{error.filename or 'a file'}: {why_unreadable(error)}"
    return Fault(setting=setting, message=message)


def _validated(kind: type[S], given: Mapping[str, Any], report: Report) -> S | None:
    """The settings, those that are wrong by themselves left at their defaults. None: there can be
    none without them. What does not go together is looked at later."""

    class Given(kind):  # type: ignore[misc, valid-type]
        @classmethod
        def settings_customise_sources(cls, *names: Any, **more: Any) -> Any:
            return (more["init_settings"],)

        def misfits(self) -> Iterator[str]:
            yield from ()

    faulty: set[str] = set()
    while True:
        try:
            found: S = Given(**{name: one for name, one in given.items() if name not in faulty})
            return found
        except ValidationError as error:
            known = len(faulty)
            for problem in error.errors(include_url=False):
                name = str(problem["loc"][0]) if problem["loc"] else ""
                if problem["type"] != "missing" or name not in faulty:
                    where = ".".join(str(part) for part in problem["loc"]) or "settings"
                    message = hide_credentials("; ".join(messages_of(problem)))
                    report.faults.append(Fault(setting=where, message=message))
                    faulty.add(name)
            if len(faulty) == known or not faulty & set(given):
                return None


def _in_force(
    kind: type[ServiceSettings],
    sources: SettingsSources,
    layers: Mapping[Origin, Mapping[str, Any]],
    values: Mapping[str, Any],
) -> Iterator[InForce]:
    prefix = kind.model_config["env_prefix"]
    for name in kind.model_fields:
        origin = next((one for one in Origin if name in layers[one]), Origin.DEFAULT)
        where: str | None = {
            Origin.FLAG: f"--{name.replace('_', '-')}",
            Origin.ENVIRONMENT: f"{prefix}{name.upper()}",
            Origin.FILE: str(sources.file),
            Origin.DEFAULT: None,
        }[origin]
        value = values.get(name)
        if name in kind.secrets:
            file = values.get(f"{name}_file")
            if value and file is not None:
                origin, where = Origin.FILE, str(file)
            value = HIDDEN if value else ""
        yield InForce(name=name, value=_plain(value), origin=origin, where=where)


def _defaults(kind: type[ServiceSettings]) -> dict[str, Any]:
    return {
        name: None if one.is_required() else one.get_default(call_default_factory=True)
        for name, one in kind.model_fields.items()
    }


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """As pydantic-settings has it: tables grow together, everything else is replaced."""
    merged = dict(below)
    for name, value in above.items():
        before = merged.get(name)
        both = isinstance(before, Mapping) and isinstance(value, Mapping)
        merged[name] = _merged(before, value) if both else value  # type: ignore[arg-type]
    return merged


def _plain(value: object) -> object:
    """As JSON has it, without credentials."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path | str):
        return hide_credentials(str(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value if isinstance(value, bool | int | float) or value is None else str(value)


def _text(value: object) -> str:
    if value is None or value in ("", [], {}):
        return "–"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def hide_credentials(text: str) -> str:
    """A text without what its URLs have before a host.

    >>> hide_credentials("etcd://root:secret@a:2379")
    'etcd://…@a:2379'
    """
    return _IN_URLS.sub("//…@", text)
