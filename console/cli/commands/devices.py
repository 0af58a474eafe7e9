"""`homeport devices`: the devices of a client's account, and the browsers that are on them. Each
command acts for the client, with its ticket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from console.cli.commands.at_home import calls_at_home
from console.cli.failure import nothing_removed
from console.cli.options import Ca, ClientId, Output, Profile, Server, Tenant, Token, target_of
from console.cli.output import Format, show

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from console.cli.calls.devices import DeviceCalls
    from console.cli.profile import Target
    from homeport.api.communication.v1 import device_pb2 as pb

app = typer.Typer(
    help="Devices: which browsers are on them, by when they booted.", no_args_is_help=True
)

DeviceId: TypeAlias = Annotated[str, typer.Argument(help="The app's id of it.", metavar="DEVICE")]
BrowserName: TypeAlias = Annotated[
    str, typer.Argument(help="As the map shows it.", metavar="SITE/BROWSER")
]


@app.command("map")
def show_map(
    client: ClientId,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Shows the devices of an account, with the browsers that are on them and why."""
    with device_calls(target_of(server, tenant, token, profile, ca), client) as calls:
        _show_map(calls.map(), output)


@app.command("consent")
def set_consent(
    client: ClientId,
    withdraw: Annotated[
        bool, typer.Option("--withdraw", help="Agrees no more; what rested on it is deleted.")
    ] = False,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Agrees that browsers are matched with the account's devices, to reach it where it is."""
    with device_calls(target_of(server, tenant, token, profile, ca), client) as calls:
        _show_map(calls.consent(not withdraw), output)


@app.command("report")
def report(
    client: ClientId,
    device: DeviceId,
    uptime_s: Annotated[
        float | None,
        typer.Option("--uptime", help="For how long it has run, sleep counted.", metavar="S"),
    ] = None,
    label: Annotated[
        str, typer.Option("--label", help="Its owner's word for it.", metavar="LABEL")
    ] = "",
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Says that a device of the account's is here. Apps do so; this is to try it."""
    from google.protobuf.duration_pb2 import Duration

    from console.cli.views.devices import report_document, report_view
    from homeport.api.communication.v1 import device_pb2 as pb

    request = pb.ReportDeviceRequest(device=device, label=label)
    if uptime_s is not None:
        if not 0 <= uptime_s < 1e9:
            raise typer.BadParameter("seconds, from 0 on", param_hint="--uptime")
        milliseconds = round(uptime_s * 1_000)
        request.uptime.CopyFrom(
            Duration(seconds=milliseconds // 1_000, nanos=milliseconds % 1_000 * 1_000_000)
        )
    with device_calls(target_of(server, tenant, token, profile, ca), client) as calls:
        document = report_document(calls.report(request))
    show(document, output, lambda: report_view(document))


@app.command("explain")
def explain(
    client: ClientId,
    browser: BrowserName,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Says why a browser is on a device of the account's, or why it is not."""
    from console.cli.views.devices import explanation_document, explanation_view

    with device_calls(target_of(server, tenant, token, profile, ca), client) as calls:
        document = explanation_document(calls.explain(browser))
    show(document, output, lambda: explanation_view(document))


@app.command("unlink")
def unlink(
    client: ClientId,
    browser: BrowserName,
    device: DeviceId,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Takes back that a browser is on a device; it does not come again."""
    with device_calls(target_of(server, tenant, token, profile, ca), client) as calls:
        _show_map(calls.unlink(browser, device), output)


@app.command("remove")
def remove(
    client: ClientId,
    device: DeviceId,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Removes a device, with what is known of it."""
    with device_calls(target_of(server, tenant, token, profile, ca), client) as calls:
        there = any(one.device == device for one in calls.map().devices)
        left = calls.remove(device)
        if not there:
            raise nothing_removed(f"{client} has no device {device}")
        _show_map(left, output)


@app.command("erase")
def erase(
    client: ClientId,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Deletes all that is kept of an account's devices, and what it agreed to."""
    from console.cli.views.devices import erased_view

    with device_calls(target_of(server, tenant, token, profile, ca), client) as calls:
        document = {"rows": calls.erase()}
    show(document, output, lambda: erased_view(document))


def device_calls(target: Target, client: str) -> AbstractContextManager[DeviceCalls]:
    """Calls for the client's account, at its home."""
    from console.cli.calls.devices import DeviceCalls

    return calls_at_home(DeviceCalls, target, client)


def _show_map(found: pb.DeviceMap, output: Format) -> None:
    from console.cli.views.devices import map_document, map_view

    document = map_document(found)
    show(document, output, lambda: map_view(document))
