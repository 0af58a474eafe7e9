"""What every command of the tree has besides its own options: `--version`, and where it talks to a
service `--config`, `--token-file`, `--certificate` and `--certificate-key`."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any

import typer

from console.cli.empty_values import refuse_empty

CONFIG_VARIABLE = "HOMEPORT_CLI_CONFIG"
_config: ContextVar[Path | None] = ContextVar("config", default=None)
_token_file: ContextVar[str | None] = ContextVar("token_file", default=None)
_certificate: ContextVar[str | None] = ContextVar("certificate", default=None)
_certificate_key: ContextVar[str | None] = ContextVar("certificate_key", default=None)


def named_config() -> Path | None:
    """The config file that this command line or its environment names, if it names one."""
    return _config.get()


def named_token_file() -> str | None:
    """The file with the token that this command line names, if it names one."""
    return _token_file.get()


def named_certificate() -> tuple[str | None, str | None]:
    """The files that this command line or its environment names for the certificate to show to
    servers, and for its key."""
    return _certificate.get(), _certificate_key.get()


def with_common_options(app: typer.Typer) -> Any:
    """The command of the whole tree, to be called with arguments."""
    command = typer.main.get_command(app)
    # Made once: Typer takes some milliseconds for it, and there are a hundred commands.
    _add(typer.main.get_command(_common).params, command)
    return command


def _add(common: Sequence[Any], command: Any) -> None:
    taken = {word for param in command.params for word in param.opts}
    talks = any(param.name == "profile" for param in command.params)
    passes_on = command.context_settings.get("ignore_unknown_options", False)
    for param in common:
        word = param.opts[0]
        if word in taken or passes_on or (word != "--version" and not talks):
            continue
        command.params.append(param)
    refuse_empty(command)
    for child in getattr(command, "commands", {}).values():
        _add(common, child)


def _keep_config(value: Path | None) -> None:
    _config.set(value)


def on_command_line(context: typer.Context, param: typer.CallbackParam) -> bool:
    """Whether an option stands there, and was not read from the environment."""
    source = context.get_parameter_source(param.name or "")
    return source is not None and source.name == "COMMANDLINE"


def _keep_token_file(context: typer.Context, param: typer.CallbackParam, value: str | None) -> None:
    _token_file.set(value if on_command_line(context, param) else None)


def _keep_certificate(value: str | None) -> None:
    _certificate.set(value)


def _keep_certificate_key(value: str | None) -> None:
    _certificate_key.set(value)


def _print_version(value: bool) -> None:
    if value:
        print(f"homeport {installed_version()}")
        raise typer.Exit


def installed_version() -> str:
    """Of the distribution this module belongs to."""
    from importlib.metadata import version

    return version("homeport-server")


_common = typer.Typer(add_completion=False)


@_common.command()
def _options(
    common_config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            help="The file with the profiles. Default: config.toml in ~/.config/homeport.",
            metavar="FILE",
            envvar=CONFIG_VARIABLE,
            callback=_keep_config,
            expose_value=False,
            is_eager=True,
            rich_help_panel="Service",
        ),
    ] = None,
    common_token_file: Annotated[
        str | None,
        typer.Option(
            "--token-file",
            help="File with the API token, closed to others. Default: the profile's, else none.",
            metavar="FILE",
            envvar="HOMEPORT_TOKEN_FILE",
            callback=_keep_token_file,
            expose_value=False,
            is_eager=True,
            rich_help_panel="Service",
        ),
    ] = None,
    common_certificate: Annotated[
        str | None,
        typer.Option(
            "--certificate",
            help="PEM file, shown to servers that ask for one (mTLS); needs --ca. Default: the "
            "profile's, else none.",
            metavar="FILE",
            envvar="HOMEPORT_CERTIFICATE",
            callback=_keep_certificate,
            expose_value=False,
            is_eager=True,
            rich_help_panel="Service",
        ),
    ] = None,
    common_certificate_key: Annotated[
        str | None,
        typer.Option(
            "--certificate-key",
            help="PEM file with the key of --certificate.",
            metavar="FILE",
            envvar="HOMEPORT_CERTIFICATE_KEY",
            callback=_keep_certificate_key,
            expose_value=False,
            is_eager=True,
            rich_help_panel="Service",
        ),
    ] = None,
    common_version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version and exit.",
            callback=_print_version,
            expose_value=False,
            is_eager=True,
        ),
    ] = False,
) -> None:
    """Never runs: it only gives its options away. Their names are none that a command has for
    another option or an argument: values are kept by name."""
