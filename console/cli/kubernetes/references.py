"""Whether what pods refer to is there: Secrets and ConfigMaps, their keys, pull secrets, claims."""

from __future__ import annotations

from collections.abc import Iterator

from console.cli.health_checks import Finding, fail, ok, warn
from console.cli.kubernetes.command_lines import Program, programs_of
from console.cli.kubernetes.mounted_files import KINDS, KeyReference, mode_behind, references_of
from console.cli.kubernetes.state import ClusterState, listed, name_of, status_of

CHECK = "secrets"
# Settings whose files a program refuses where everybody may read them (control_plane.secret_files).
_CLOSED = (
    "token_file", "store_password_file", "key_wrapping_file", "key_wrapping_passphrase_file",
)  # fmt: skip


def check_references(state: ClusterState) -> list[Finding]:
    """Of all workloads, whether their pods were made already or not."""
    wanted: dict[KeyReference, str] = {}
    for workload in state.workloads():
        for reference in references_of(workload):
            wanted.setdefault(reference, workload.title)
    for program in programs_of(state):
        for setting in program.settings:
            named = program.file(state, setting)
            if named is not None and not named.optional:
                flag = setting.replace("_", "-")
                wanted.setdefault(named, f"{program.title} (--{flag})")
    faults = _missing(state, wanted)
    faults += [finding for program in programs_of(state) for finding in _unfit(state, program)]
    faults += [
        fail(
            CHECK,
            f"{workload.title} pulls its image with Secret {name}, which is not there",
            f"make it: kubectl -n {state.namespace} create secret docker-registry {name} …",
        )
        for workload in state.workloads()
        for one in listed(workload.template, "imagePullSecrets")
        if "secrets" in state.objects
        and state.find("secrets", name := str(one.get("name"))) is None
    ]
    if "secrets" in state.unreadable:
        faults.append(
            warn(
                CHECK,
                f"cannot be read: {state.unreadable['secrets']}",
                "let somebody who may read Secrets call this, or grant get and list of secrets",
            )
        )
    return faults or [ok(CHECK, f"all {len(wanted)} that pods refer to are there")]


def _unfit(state: ClusterState, program: Program) -> Iterator[Finding]:
    """Files that the program may not read, or refuses because everybody may."""
    pod = program.workload.template.get("securityContext") or {}
    user = {**pod, **(program.container.get("securityContext") or {})}.get("runAsUser")
    for setting in program.settings:
        source = program.file(state, setting)
        if source is None:
            continue
        mode = mode_behind(program.workload, program.container, program.settings[setting])
        where = f"--{setting.replace('_', '-')} of {program.title} ({source.title})"
        if setting in _CLOSED and mode & 0o007:
            yield fail(
                CHECK,
                f"{where} is mounted with mode {mode:o}, open to everybody, and is refused",
                "set defaultMode: 0440 of the volume, and fsGroup of the pod",
            )
        elif user and not mode & 0o004 and not (mode & 0o040 and "fsGroup" in pod):
            yield fail(
                CHECK,
                f"{where} is mounted with mode {mode:o} for root, and the program runs as {user}",
                "set fsGroup of the pod: its group may read then",
            )


def _missing(state: ClusterState, wanted: dict[KeyReference, str]) -> list[Finding]:
    faults: list[Finding] = []
    objects_missing: set[tuple[str, str]] = set()
    for reference, who in sorted(wanted.items(), key=lambda one: one[0].key is not None):
        plural = KINDS[reference.kind]
        if reference.optional or plural not in state.objects:
            continue
        if (reference.kind, reference.name) in objects_missing:
            continue
        found = state.find(plural, reference.name)
        make = "secret generic" if reference.kind == "secret" else "configmap"
        key = reference.key or "KEY"
        if found is None:
            objects_missing.add((reference.kind, reference.name))
            step = f"make it: kubectl -n {state.namespace} create {make} {reference.name}"
            faults.append(
                fail(
                    CHECK,
                    f"there is no {reference.title}, which {who} needs",
                    f"{step} --from-file={key}=FILE",
                )
            )
        elif reference.key is not None and reference.content(state) is None:
            has = ", ".join(sorted([*(found.get("data") or {}), *(found.get("binaryData") or {})]))
            faults.append(
                fail(
                    CHECK,
                    f"{reference.title} has no key {reference.key}, which {who} needs; "
                    f"it has {has or 'none'}",
                    "add the key, or name the one it has in the chart's values",
                )
            )
        elif reference.content(state) == b"":
            faults.append(
                fail(
                    CHECK,
                    f"key {reference.key} of {reference.title}, which {who} needs, is empty",
                    "put the content there: kubectl create … --dry-run=client -o yaml | "
                    "kubectl apply -f -",
                )
            )
    return faults


def check_claims(state: ClusterState) -> list[Finding]:
    """Whether volumes are there for what keeps data."""
    faults = []
    pods = state.own("pods")
    used = {
        str(volume["persistentVolumeClaim"].get("claimName"))
        for pod in pods
        for volume in listed(pod, "spec", "volumes")
        if volume.get("persistentVolumeClaim")
    }
    for name in sorted(used):
        claim = state.find("persistentvolumeclaims", name)
        if claim is None and "persistentvolumeclaims" in state.objects:
            faults.append(
                fail("volumes", f"there is no claim {name}, which a pod mounts", "make it, or "
                     "let the chart do so")
            )  # fmt: skip
        elif claim is not None and status_of(claim).get("phase") != "Bound":
            storage_class = (claim.get("spec") or {}).get("storageClassName")
            asked = f"class {storage_class}" if storage_class else "the default class"
            faults.append(
                fail(
                    "volumes",
                    f"claim {name_of(claim)} has no volume ({asked})",
                    f"see why: kubectl -n {state.namespace} describe pvc {name}; name a storage "
                    "class of the cluster (kubectl get storageclass)",
                )
            )
    return faults or ([ok("volumes", f"all {len(used)} claims are bound")] if used else [])
