"""Applications, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from console.cli.markup import escape
from console.cli.tables import Table, fold, whole

if TYPE_CHECKING:
    from rich.console import RenderableType

    from homeport.api.datasharing.v1 import registry_pb2 as pb


def document_of(one: pb.Application) -> dict[str, Any]:
    from homeport.api.datasharing.v1 import registry_pb2 as pb_values

    return {
        "tenant": one.tenant,
        "name": one.application,
        "version": one.version,
        "current": one.state == pb_values.VERSION_STATE_CURRENT,
        "deprecation": one.deprecation or None,
        "submitted": one.submit_time.ToJsonString(),
        "artifact_sha256": one.artifact_sha256 or None,
        "artifact_size_bytes": one.artifact_size_bytes,
        "produces": list(one.produces),
        "consumes": list(one.consumes),
        "actions": list(one.actions),
    }


def applications_table(
    found: list[pb.Application], accounts: Mapping[str, str] = MappingProxyType({})
) -> Table:
    """The current versions, with their feeds and actions. accounts: at which they are written to,
    by application."""
    table = Table(
        *map(whole, ("application", "version")),
        *map(fold, ("produces", "consumes", "actions")),
        *([fold("account")] if accounts else []),
    )
    for one in found:
        version = escape(one.version) + (" [yellow]deprecated[/]" if one.deprecation else "")
        table.add_row(
            escape(one.application), version, _listed(one.produces), _listed(one.consumes),
            _listed(one.actions),
            *([escape(accounts.get(one.application, ""))] if accounts else []),
        )  # fmt: skip
    return table


def _listed(names: Iterable[str]) -> str:
    """A line for each where there is room for lines, else one behind the other."""
    return ",\n".join(map(escape, names))


def application_view(found: pb.GetApplicationResponse) -> RenderableType:
    import json

    import yaml
    from rich.console import Group

    lines = []
    for one in found.versions:
        document = document_of(one)
        marks = "[green]current[/] " if document["current"] else ""
        if one.deprecation:
            marks += f"[yellow]deprecated[/]: {escape(one.deprecation)}"
        lines.append(f"[bold]{escape(one.version)}[/] [dim]{document['submitted']}[/] {marks}")
    text = yaml.safe_dump(json.loads(found.manifest), sort_keys=False, allow_unicode=True)
    return Group(*lines, "", *map(escape, text.splitlines()))


def faults_table(faults: list[pb.Fault]) -> Table:
    """What is wrong with a manifest, place by place."""
    table = Table(fold("where in the manifest"), fold("what is wrong"), title="refused")
    for one in faults:
        table.add_row(escape(one.path or "/"), escape(one.message))
    return table
