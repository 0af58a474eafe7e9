"""What the charts' values.yaml files say, as a schema for Helm and as a page for people.

`python helm/generate.py` writes helm/<chart>/values.schema.json and docs/operations/values.md;
`--check` fails where they are not what they should be. A value's description is the comment above
it; `@free` there: whatever Kubernetes takes, `@enum A B`: one of these (`""`: nothing), `@lists`:
lists of texts by name, `@settings SERVICE`: the settings of a service that the chart does not say
itself.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from control_plane.settings import ServiceSettings
from data_sharing.platforms.settings import PlatformSettings
from data_sharing.settings import Settings as SharingSettings
from deployment_units.agent.settings import AgentSettings
from provisioner.settings import Settings as ProvisionerSettings

HELM = Path(__file__).resolve().parent
PAGE = HELM.parent / "docs/operations/values.md"
CHARTS = ("homeport", "homeport-unit")
_LINE = re.compile(r"^( *)([A-Za-z][A-Za-z0-9]*):")

_SECRET = "a secret: as a file of a Secret alone"
_OF_DEMOS = "a clock of demos and tests"
_READY = "the readiness probe looks for it"
_LISTEN = "ports are the chart's, and so are its Services"
_STORE = {
    "store": "`store.endpoints`", "store_ca": "`store.tls.caSecret`",
    "store_certificate": "`store.tls.certificateSecret`",
    "store_key": "`store.tls.certificateSecret`", "store_user": "`store.user`",
    "store_password": _SECRET, "store_password_file": "`store.password.secret`",
}  # fmt: skip
_SERVERS = {
    "tokens": "`tokens.secret`", "tls_certificate": "`tls.source`", "tls_key": "`tls.source`",
    "tls_client_ca": "`tls.clientCa.secret`",
    "listen": _LISTEN, "metrics_listen": _LISTEN, "insecure": "`insecure`",
    "ready_file": "health is asked over HTTP",
    "key_wrapping_file": "`keys.wrappingSecret`", "key_wrapping_passphrase": _SECRET,
    "key_wrapping_passphrase_file": "`keys.passphraseSecret`",
}  # fmt: skip
# Settings that `settings` of a chart does not have: what says them instead, or why nothing does.
OURS: dict[str, tuple[type[ServiceSettings], dict[str, str]]] = {
    "provisioner": (ProvisionerSettings, {
        **_SERVERS,
        **_STORE, "assignment_stores": "`store.assignmentStores`",
        "geo": "`geo.volume`", "geo_overrides": "`geo.overrides`",
        "snapshot": "`provisioner.snapshot`", "http_listen": "`provisioner.http.enabled`",
        "directory_http_listen": "`provisioner.pages.enabled`",
        "directory_hosts": "`provisioner.pages.hosts`",
        "workers": "a pod is one process: `provisioner.replicas`",
        "master_key_file": "`keys.masterSecret`",
        "directory_pepper_file": "`keys.pepperSecret`",
        "unit_ca": "`units.caSecret`", "unit_certificate": "`units.certificateSecret`",
        "unit_key": "`units.certificateSecret`",
    }),
    "sharing": (SharingSettings, {
        **_SERVERS, "http_listen": _LISTEN, "data_dir": "its volume", "compiled_dir": "its volume",
        "signing_key": "`keys.signingSecret`", "clock_file": _OF_DEMOS,
        **_STORE, "store": "`sharing.tenantQuotas`",
        "feeds": "`sharing.feeds.servers`", "feeds_monitoring": "`sharing.feeds.monitoring`",
        "feeds_credentials": "`sharing.feeds.credentialsSecret`",
        "feeds_ca": "`sharing.feeds.caSecret`",
    }),
    "platform": (PlatformSettings, {
        "name": "`platform.name`", "server": "`platform.server`", "data_dir": "its volume",
        "compiled_dir": "its volume", "token": _SECRET, "token_file": "`platform.token.secret`",
        "ca": "`platform.caSecret`", "certificate": "`platform.certificateSecret`",
        "certificate_key": "`platform.certificateSecret`",
        "instruction_keys": "`platform.instructionKeys`", "clock_file": _OF_DEMOS,
        "ready_file": _READY, "metrics_listen": _LISTEN,
    }),
    "agent": (AgentSettings, {
        "units": "a release is one unit: `unit.id`", "unit": "`unit.id`",
        "tenants": "`unit.tenants`",
        "server": "`server.endpoints`", "listen": _LISTEN, "http_listen": "`web.enabled`",
        "smtp_listen": "`mail.enabled`", "sip_listen": "`sip.enabled`",
        "sip_address": "`sip.address`",
        "data_sharing": "`dataSharing.endpoints`", "data_sharing_token": _SECRET,
        "data_sharing_token_file": "`dataSharing.token.secret`",
        "token": _SECRET, "token_file": "`server.token.secret`", "ca": "`server.caSecret`",
        "certificate": "`server.certificateSecret`",
        "certificate_key": "`server.certificateSecret`", "tls_certificate": "`tls.secret`",
        "tls_key": "`tls.secret`", "tls_client_ca": "`tls.clientCaSecret`",
        "insecure": "`insecure`", "state_dir": "`state.enabled`",
        "keep_endpoints": "of fleet files, which a release has none of",
        "metrics_listen": _LISTEN, "ready_file": "health is asked over HTTP",
    }),
}  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Value:
    """One value of a chart. words: its description; marks: what follows each @ in it."""

    path: tuple[str, ...]
    words: str
    default: Any
    marks: dict[str, str] = field(default_factory=dict)


def values_of(text: str) -> list[Value]:
    """All that have a comment, in the order of the file. Raises ValueError for one without."""
    defaults, found = yaml.safe_load(text), []
    comment: list[str] = []
    path: list[str] = []
    below = -1  # the indent of a value whose inside is its own affair
    for line in text.splitlines():
        stripped = line.strip()
        indent = len(line) - len(line.lstrip())
        if stripped.startswith("#"):
            comment.append(stripped.lstrip("# "))
            continue
        match = _LINE.match(line)
        if match is None or 0 <= below < indent:
            comment = comment if match is None and stripped == "" else []
            continue
        below = -1
        path = [*path[: indent // 2], match[2]]
        default: Any = defaults
        for name in path:
            default = default[name]
        said, comment = " ".join(comment), []
        words, *marked = said.split("@")
        marks = dict((mark.strip() + " ").split(" ", 1) for mark in marked)
        if isinstance(default, dict) and default and "free" not in marks:
            continue  # a group: its values follow
        if not words.strip():
            raise ValueError(f"{'.'.join(path)} has no description")
        if isinstance(default, dict):
            below = indent
        found.append(Value(path=tuple(path), words=words.strip(), default=default, marks=marks))
    return found


def settings_schema(service: str) -> dict[str, Any]:
    """The settings of a service that the chart leaves to its user."""
    kind, ours = OURS[service]
    whole = kind.model_json_schema()
    properties = {name: one for name, one in whole["properties"].items() if name not in ours}
    for one in properties.values():
        reference = one.pop("$ref", "")
        if reference:
            one |= whole["$defs"][reference.rpartition("/")[2]]
        one.pop("title", None)
        if isinstance(one.get("default"), dict | list):
            one.pop("default")
    return {"type": "object", "additionalProperties": False, "properties": properties}


def schema_of(value: Value) -> dict[str, Any]:
    """The JSON schema of one value."""
    default, marks = value.default, value.marks
    if "settings" in marks:
        return {"description": value.words, **settings_schema(marks["settings"].strip())}
    found: dict[str, Any] = {"description": value.words}
    if "enum" in marks:
        return found | {"enum": shlex.split(marks["enum"])}
    if isinstance(default, bool):
        return found | {"type": "boolean"}
    if isinstance(default, int):
        return found | {"type": "integer", "minimum": 0}
    if isinstance(default, str):
        return found | {"type": "string"}
    texts = {"type": "array", "items": {"type": "string"}}
    if isinstance(default, list):
        return found | ({"type": "array"} if "free" in marks else texts)
    if "lists" in marks:
        return found | {"type": "object", "additionalProperties": texts}
    return found | {"type": "object"}


def chart_schema(values: list[Value]) -> dict[str, Any]:
    """Of a whole values file; nothing else is taken than what it has."""
    root: dict[str, Any] = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    root |= {"type": "object", "additionalProperties": False, "properties": {}}
    # Helm hands every chart a table that charts above it share.
    root["properties"]["global"] = {"type": "object", "description": "Helm's own."}
    for value in values:
        place = root
        for name in value.path[:-1]:
            place = place["properties"].setdefault(
                name, {"type": "object", "additionalProperties": False, "properties": {}}
            )
        place["properties"][value.path[-1]] = schema_of(value)
    return root


def page_of(charts: dict[str, list[Value]]) -> str:
    """The page for people."""
    lines = [
        "# Values of the charts", "",
        "Made by `python helm/generate.py` from the files of values; anything else is refused.",
    ]  # fmt: skip
    services = []
    for chart, values in charts.items():
        lines += ["", f"## {chart}", "", "| value | default | what it is |", "|---|---|---|"]
        for value in values:
            words = value.words.replace("|", "\\|")
            if "enum" in value.marks:
                choices = [one for one in shlex.split(value.marks["enum"]) if one]
                words += f" One of {', '.join(choices)}."
            if "settings" in value.marks:
                services.append(value.marks["settings"].strip())
            default = json.dumps(value.default)
            lines.append(f"| `{'.'.join(value.path)}` | `{default}` | {words} |")
    lines += ["", "## Settings that have values of their own", ""]
    lines += ["Everything else of `--help` is a key of the chart's `settings`.", ""]
    lines += ["| service | setting | said by |", "|---|---|---|"]
    for service in services:
        lines += [f"| {service} | `{name}` | {why} |" for name, why in OURS[service][1].items()]
    return "\n".join(lines) + "\n"


def outputs() -> dict[Path, str]:
    """All files, with what they should hold."""
    charts = {name: values_of((HELM / name / "values.yaml").read_text()) for name in CHARTS}
    found = {
        HELM / name / "values.schema.json": json.dumps(chart_schema(values), indent=2) + "\n"
        for name, values in charts.items()
    }
    return found | {PAGE: page_of(charts)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale = []
    for path, content in outputs().items():
        if not path.exists() or path.read_text() != content:
            stale.append(str(path.relative_to(HELM.parent)))
            if not check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(content)
    if check and stale:
        print(f"stale: {', '.join(stale)}; run python helm/generate.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
