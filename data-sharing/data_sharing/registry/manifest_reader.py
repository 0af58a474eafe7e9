"""Manifest reader: text to values, or every fault of it at once.

First its form, by the published JSON Schema; then what a schema cannot say: that schemas
compile, samples conform, keys can be found, names are not taken twice. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any, TypeVar

from control_plane.errors import InvalidInput
from control_plane.printable import quoted
from data_sharing.documents import value_of
from data_sharing.feed_key import KeyPath
from data_sharing.forecasts.spec import duration_ms
from data_sharing.instruction import ApprovalTerms
from data_sharing.registry.answers import CLICK_SAMPLE, MESSAGE_SAMPLE
from data_sharing.registry.manifest import (
    Action,
    Answers,
    Consumed,
    FileRequest,
    Manifest,
    ManifestFault,
    Produced,
    RequestedCapabilities,
    RuntimeNeeds,
)
from data_sharing.runtimes.port import ArtifactKind, Limits
from data_sharing.schemas import BadSchema, DataSchema, steps_of

T = TypeVar("T")
FORM = DataSchema(
    json.loads(files("data_sharing.registry").joinpath("manifest.schema.json").read_bytes())
)
MAX_FAULTS = 50
MAX_BYTES = 256 * 1024


def manifest_value(text: str) -> Any:
    """A manifest as it is written, not judged. Raises InvalidInput."""
    return value_of(text, "manifest", most_bytes=MAX_BYTES)


def read_manifest(text: str, *, tenant: str) -> tuple[Manifest | None, tuple[ManifestFault, ...]]:
    """The manifest, or what is wrong with it. `tenant`: whose it is where it does not say."""
    try:
        document = manifest_value(text)
    except InvalidInput as error:
        return None, (ManifestFault(path="", message=error.message),)
    if not isinstance(document, Mapping):
        return None, (
            ManifestFault(path="", message="the manifest is not a mapping of keys to values"),
        )
    return from_document(document, tenant=tenant)


def from_document(
    document: Mapping[str, Any], *, tenant: str
) -> tuple[Manifest | None, tuple[ManifestFault, ...]]:
    """The same for a decoded one."""
    try:
        faults = [
            ManifestFault(path=breach.pointer, message=breach.message)
            for breach in FORM.breaches(document, MAX_FAULTS)
        ]
    except ValueError as error:  # a number that JSON has not, such as .nan
        return None, (
            ManifestFault(path="", message=f"the manifest holds what JSON cannot say: {error}"),
        )
    if faults:
        return None, tuple(faults)
    manifest = manifest_of(document, tenant)
    if document.get("tenant", tenant) != tenant:
        faults.append(
            ManifestFault(
                path="/tenant", message=f"is {document['tenant']}, submitted for {tenant}"
            )
        )
    faults += _once("/produces", "type", [one.type for one in manifest.produces])
    faults += _once("/consumes", "feed", [one.feed for one in manifest.consumes])
    faults += _once("/actions", "name", [one.name for one in manifest.actions])
    for place, produced in enumerate(manifest.produces):
        faults += _check_produced(f"/produces/{place}", produced)
    for place, consumed in enumerate(manifest.consumes):
        faults += _check_consumed(f"/consumes/{place}", consumed)
    for place, action in enumerate(manifest.actions):
        faults += _check_action(f"/actions/{place}", action)
    for what, sample in (("message", MESSAGE_SAMPLE), ("click", CLICK_SAMPLE)):
        faults += _check_answer(manifest, what, sample)
    if manifest.actions and manifest.runtime is None:
        faults.append(
            ManifestFault(path="/runtime", message="is missing; something has to run the actions")
        )
    if manifest.runtime is not None and not manifest.actions:
        faults.append(
            ManifestFault(path="/actions", message="is missing; what is the runtime to run?")
        )
    return (None, tuple(faults)) if faults else (manifest, ())


def manifest_of(document: Mapping[str, Any], tenant: str) -> Manifest:
    """Of a document that was judged to be one."""
    return Manifest(
        tenant=tenant,
        application=document["application"],
        version=document["version"],
        description=document.get("description", ""),
        produces=tuple(_produced(one) for one in document.get("produces", ())),
        consumes=tuple(
            Consumed(feed=one["feed"], purpose=one["purpose"], fields=tuple(one.get("fields", ())))
            for one in document.get("consumes", ())
        ),
        actions=tuple(
            Action(
                name=one["name"],
                input=one["input"],
                output=one["output"],
                sample=one["sample"],
                idempotent=one.get("idempotent", False),
                needs_approval=one.get("needs_approval", "approval" in one),
                approval=_approval(one.get("approval", {})),
                description=one.get("description", ""),
            )
            for one in document.get("actions", ())
        ),
        answers=Answers(**document.get("answers", {})),
        runtime=_runtime(document["runtime"]) if "runtime" in document else None,
    )


def _approval(one: Mapping[str, Any]) -> ApprovalTerms:
    expires = one.get("expires")
    return ApprovalTerms(
        expires_ms=0 if expires is None else duration_ms(expires, "expires", least_ms=1_000),
        by=tuple(one.get("by", ())),
        role=one.get("role", "operator"),
        four_eyes=one.get("four_eyes", False),
    )


def _produced(one: Mapping[str, Any]) -> Produced:
    shared = one.get("shared_with", ())
    return Produced(
        type=one["type"],
        schema=one["schema"],
        key=one.get("key", "/subject"),
        samples=tuple(one["samples"]),
        shared_with=() if shared == "everyone" else tuple(shared),
        shared_with_everyone=shared == "everyone",
    )


def _runtime(one: Mapping[str, Any]) -> RuntimeNeeds:
    asked = one.get("capabilities", {})
    return RuntimeNeeds(
        kind=ArtifactKind(one["kind"]),
        sha256=one.get("sha256", "").lower(),
        limits=Limits(**one.get("limits", {})),
        requested=RequestedCapabilities(
            clock=asked.get("clock", False),
            random=asked.get("random", False),
            environment=tuple(asked.get("environment", {}).items()),
            files=tuple(FileRequest(**request) for request in asked.get("files", ())),
        ),
    )


def _once(where: str, key: str, names: list[str]) -> list[ManifestFault]:
    seen: set[str] = set()
    faults: list[ManifestFault] = []
    for place, name in enumerate(names):
        if name in seen:
            said = f"{quoted(name)} stands there twice; keep one"
            faults.append(ManifestFault(path=f"{where}/{place}/{key}", message=said))
        seen.add(name)
    return faults


def _compile(path: str, document: Any, faults: list[ManifestFault]) -> DataSchema | None:
    """The schema; None where it is none, which is then among the faults."""
    try:
        return DataSchema(document if isinstance(document, Mapping) else {"allOf": [document]})
    except BadSchema as error:
        said = error.message
        faults.append(
            ManifestFault(path=f"{path}{error.pointer}", message=f"this is no schema: {said}")
        )
        return None


def _check_produced(path: str, produced: Produced) -> list[ManifestFault]:
    faults: list[ManifestFault] = []
    key = _parsed(f"{path}/key", KeyPath.parse, produced.key, faults)
    schema = _compile(f"{path}/schema", produced.schema, faults)
    for place, sample in enumerate(produced.samples):
        here = f"{path}/samples/{place}"
        if schema is not None and (breach := schema.breach(sample["data"])) is not None:
            faults.append(
                ManifestFault(
                    path=f"{here}/data{breach.pointer}", message=f"the sample {breach.message}"
                )
            )
        if key is None:
            continue
        found = key.of_event(sample["data"], sample)
        if found is None and key.attribute != "source":
            faults.append(
                ManifestFault(
                    path=here,
                    message=f"the sample has no key: {key.pointer} is not there, "
                    "or no text or whole number",
                )
            )
    return faults


def _check_consumed(path: str, consumed: Consumed) -> list[ManifestFault]:
    faults: list[ManifestFault] = []
    for place, field in enumerate(consumed.fields):
        _parsed(f"{path}/fields/{place}", steps_of, field, faults)
    return faults


def _check_action(path: str, action: Action) -> list[ManifestFault]:
    faults: list[ManifestFault] = []
    taken = _compile(f"{path}/input", action.input, faults)
    _compile(f"{path}/output", action.output, faults)
    if taken is not None and (breach := taken.breach(action.sample)) is not None:
        faults.append(
            ManifestFault(path=f"{path}/sample{breach.pointer}",
                  message=f"the sample does not conform to the action's input: {breach.message}")
        )  # fmt: skip
    return faults


def _check_answer(manifest: Manifest, what: str, sample: Mapping[str, Any]) -> list[ManifestFault]:
    """Whether the action that answers is there, and takes what it will be given."""
    name, path = getattr(manifest.answers, what), f"/answers/{what}"
    action = manifest.action(name)
    if not name:
        return []
    if action is None:
        known = ", ".join(one.name for one in manifest.actions)
        said = f"there is no action {name}" + (f", but {known}" if known else "")
        return [ManifestFault(path=path, message=said)]
    taken = _compile(path, action.input, [])
    breach = None if taken is None else taken.breach_within_bounds(sample)
    if breach is None:
        return []
    given = ", ".join(sample)
    said = (
        f"the input of {name} does not take what it is given ({given}): "
        f"{breach.pointer or 'all of it'}: {breach.message}"
    )
    return [ManifestFault(path=path, message=said)]


def _parsed(
    path: str, parse: Callable[[str], T], text: str, faults: list[ManifestFault]
) -> T | None:
    try:
        return parse(text)
    except ValueError as error:
        faults.append(ManifestFault(path=path, message=str(error)))
        return None
