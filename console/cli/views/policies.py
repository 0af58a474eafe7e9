"""Policies, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.cli.markup import escape
from control_plane.printable import number_of, printable_lines

if TYPE_CHECKING:
    from rich.console import RenderableType

    from homeport.api.policy.v1 import policy_pb2 as pb

WORST = 5  # rules that are named


def document_of(policy: pb.Policy) -> dict[str, Any]:
    """As JSON and YAML show it."""
    return {
        "tenant": policy.tenant,
        "version": policy.version,
        "applied_time": (
            policy.applied_time.ToJsonString() if policy.HasField("applied_time") else None
        ),
        "kept_versions": list(policy.kept_versions),
        "document": policy.document,
    }


def policy_view(policy: pb.Policy) -> RenderableType:
    """The document behind a comment that says what it is, so that it can be edited and applied."""
    if not policy.version:
        return escape(f"tenant {policy.tenant} has no policy: its clients may live anywhere")
    kept = ", ".join(map(str, policy.kept_versions))
    head = f"# policy of tenant {policy.tenant}, version {policy.version}"
    if policy.HasField("applied_time"):
        head += f", applied {policy.applied_time.ToJsonString()}"
    lines = [head] + ([f"# kept versions: {kept}"] if kept else [])
    from rich.text import Text

    return Text("\n".join([*lines, printable_lines(policy.document.rstrip("\n"))]))


def effect_document(effect: pb.PolicyEffect) -> dict[str, Any]:
    """As JSON and YAML show it."""
    return {
        "clients": effect.clients,
        "nowhere": effect.nowhere,
        "displaced": effect.displaced,
        "partial": effect.partial,
        "nowhere_by_rule": dict(sorted(effect.nowhere_by_rule.items())),
        "by_certainty": dict(sorted(effect.by_certainty.items())),
    }


def effect_sentences(effect: pb.PolicyEffect) -> list[str]:
    """What a policy would mean, a sentence each."""
    if not effect.clients:
        return ["the tenant has no clients yet"]
    of = f"of {number_of(effect.clients, 'client')}" + (" that were counted" * effect.partial)
    said = [f"{of} {effect.nowhere:,} ({_share(effect.nowhere, effect)}) would be nowhere"]
    if effect.nowhere_by_rule:
        worst = sorted(effect.nowhere_by_rule.items(), key=lambda one: (-one[1], one[0]))
        told = ", ".join(f"{name} {count:,}" for name, count in worst[:WORST])
        said[0] += f", by rule: {told}"
    displaced = (
        f"{effect.displaced:,} ({_share(effect.displaced, effect)}) live where it keeps them"
    )
    if effect.displaced:
        said.append(f"{displaced} off; they stay until a job moves them: homeport policy move")
    else:
        said.append(f"{displaced} off")
    doubtful = effect.clients - effect.by_certainty.get("certain", 0)
    said.append(f"of {doubtful:,} it is not certain in which country they are")
    return said


def _share(count: int, effect: pb.PolicyEffect) -> str:
    return f"{count / effect.clients:.1%}"
