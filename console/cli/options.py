"""The options that many commands share, spelled once."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from console.cli.common_options import (
    named_certificate,
    named_config,
    named_token_file,
    on_command_line,
)
from console.cli.local_start import wait_for_start
from console.cli.output import Format
from console.cli.profile import Flags, Target, choose_target, config_path
from control_plane.secret_files import visible_secret_warning


def _warn_of_visible(
    context: typer.Context, param: typer.CallbackParam, value: str | None
) -> str | None:
    """Says on stderr that a secret stands in the arguments. One of the environment is not a flag's:
    choose_target looks there after all flags."""
    if value is None or not on_command_line(context, param):
        return None
    warning = visible_secret_warning("--token", "HOMEPORT_TOKEN", "--token-file")
    typer.echo(f"warning: {warning}", err=True)
    return value


Server: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--server",
        help="The provisioning service, host:port; several with commas. "
        "Default: the profile's, else 127.0.0.1:7700.",
        metavar="HOST:PORT",
        envvar="HOMEPORT_SERVER",
        rich_help_panel="Service",
    ),
]
DataServer: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--server",
        help="The data-sharing service, host:port; several with commas. "
        "Default: data_server of the profile, else 127.0.0.1:7703.",
        metavar="HOST:PORT",
        envvar="HOMEPORT_DATA_SERVER",
        rich_help_panel="Service",
    ),
]
Tenant: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--tenant",
        help="Whose client. Default: the profile's, else default.",
        envvar="HOMEPORT_TENANT",
        rich_help_panel="Service",
    ),
]
Token: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--token",
        help="API token; better given by the environment, --token-file or the profile.",
        envvar="HOMEPORT_TOKEN",
        callback=_warn_of_visible,
        rich_help_panel="Service",
    ),
]
Profile: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--profile",
        help="A profile of the config file. Default: its default_profile.",
        envvar="HOMEPORT_PROFILE",
        rich_help_panel="Service",
    ),
]
Ca: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--ca",
        help="Talk TLS: a PEM file with the CA of the server's certificate, or `system`. "
        "Default: the profile's, else no TLS.",
        metavar="FILE|system",
        envvar="HOMEPORT_CA",
        rich_help_panel="Service",
    ),
]
Timeout: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        help="How long to go on trying where no server answers, or there is no room. Default: a "
        "few tries within 4 s.",
        metavar="SECONDS",
        min=0.1,
        max=3_600.0,
        envvar="HOMEPORT_TIMEOUT",
        rich_help_panel="Service",
    ),
]
Output: TypeAlias = Annotated[
    Format,
    typer.Option(
        "--output",
        "-o",
        help="How to print the result: table, json or yaml.",
        metavar="FORMAT",
        show_default=True,
    ),
]
GeoFile: TypeAlias = Annotated[
    Path | None,
    typer.Option("--geo", help="Geo database, MaxMind format. Default: the bundled one."),
]
ClientAttributes: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--attribute",
        help="What is told of the client for its tenant's policy; an empty value takes it away. "
        "Any number of times.",
        metavar="NAME=VALUE",
    ),
]
HookAnswers: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--hook-answers",
        help="What hooks of policies say, YAML or JSON. Without it they are away.",
        metavar="FILE",
    ),
]
Address: TypeAlias = Annotated[
    str | None, typer.Option("--ip", help="The client's IPv4 or IPv6 address.", metavar="ADDRESS")
]
At: TypeAlias = Annotated[
    str | None,
    typer.Option("--at", help="Where the client is, in degrees.", metavar="LAT,LON"),
]
MOST_INT64 = (1 << 63) - 1  # of positions, revisions and versions, as messages have them
NamedFile: TypeAlias = Annotated[
    Path | None,
    typer.Option("--file", "-f", help="The same file; one of both.", metavar="FILE|-"),
]
RequestId: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--request-id",
        help="Called again with the same one, it comes to what the first call came to; up to 64 "
        "printable characters, no spaces. Default: another each time.",
        metavar="ID",
    ),
]
ClientId: TypeAlias = Annotated[str, typer.Argument(help="The client's id.", metavar="CLIENT")]


def one_file(argument: Path | None, option: Path | None) -> Path:
    """The file of a command that takes it as its argument or by -f. Raises typer.BadParameter."""
    named = [path for path in (argument, option) if path is not None]
    if len(named) != 1:
        why = "give the file once" if named else "which file? - is stdin"
        raise typer.BadParameter(why, param_hint="FILE")
    return named[0]


def target_of(
    server: str | None,
    tenant: str | None,
    token: str | None,
    profile: str | None,
    ca: str | None,
) -> Target:
    """What these options, the environment and the config file say together."""
    flags = _flags(tenant, token, profile, ca)
    return _chosen(replace(flags, server=server), data_sharing=False)


def data_target_of(
    server: str | None,
    tenant: str | None,
    token: str | None,
    profile: str | None,
    ca: str | None,
) -> Target:
    """The same for commands that talk to the data-sharing service."""
    flags = _flags(tenant, token, profile, ca)
    return _chosen(replace(flags, data_server=server), data_sharing=True)


def _flags(tenant: str | None, token: str | None, profile: str | None, ca: str | None) -> Flags:
    certificate, key = named_certificate()
    return Flags(
        tenant=tenant,
        token=token,
        token_file=named_token_file(),
        profile=profile,
        ca=ca,
        certificate=certificate,
        certificate_key=key,
    )


def _chosen(flags: Flags, *, data_sharing: bool) -> Target:
    named = named_config()
    config = named or config_path(os.environ)
    target = choose_target(
        flags, os.environ, config, required=named is not None, data_sharing=data_sharing
    )
    wait_for_start(target.servers)
    return target
