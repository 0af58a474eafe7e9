"""Settings of a platform: flags > environment > TOML file > default.

The only place that reads any of them. Unknown flags and unknown keys of the file fail.
Environment variables are the field names in upper case behind HOMEPORT_PLATFORM_.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from control_plane.errors import InvalidInput
from control_plane.exposure import check_shown_certificate
from control_plane.identity.names import check_slug
from control_plane.settings import read, said_by
from control_plane.telemetry.log_settings import LogSettings
from control_plane.tracing.settings import TracingSettings
from data_sharing.platforms.installer import GRANTABLE
from data_sharing.replication.partition_map import MOST_PARTITIONS
from data_sharing.runtimes.processes import ProcessPolicy


class PlatformSettings(LogSettings, TracingSettings):
    """One platform."""

    model_config = SettingsConfigDict(
        env_prefix="HOMEPORT_PLATFORM_", cli_prog_name="homeport platforms run"
    )
    secrets: ClassVar[tuple[str, ...]] = ("token",)

    name: Annotated[str, Field(description="of this platform, unique within its tenant")]
    applications: Annotated[
        str, Field(description="to host, by comma: NAME for the current version, or NAME@VERSION")
    ]
    data_dir: Annotated[
        Path, Field(description="journal, artifacts and compiled code; one platform's alone")
    ]
    compiled_dir: Annotated[
        Path | None,
        Field(description="compiled code, which programs of one user on a machine may share; "
              "default: in data_dir"),
    ] = None  # fmt: skip
    server: Annotated[str, Field(description="decision services, host:port[,host:port…]")] = (
        "127.0.0.1:7703"
    )
    partition: Annotated[
        int | None,
        Field(
            ge=0, le=MOST_PARTITIONS - 1,
            description="whose instructions it performs, where keys are spread over partitions: "
            "each needs platforms of its own, with data folders of their own",
        ),
    ] = None  # fmt: skip
    tenant: Annotated[str, Field(description="whose platform it is")] = "default"
    token: Annotated[str, Field(description="better given by the environment or token_file")] = ""
    token_file: Annotated[
        Path | None, Field(description="file with the token, closed to others")
    ] = None
    threads: Annotated[
        int, Field(ge=0, le=256, description="actions that run at once; 0: two per core")
    ] = 0
    capacity: Annotated[
        int,
        Field(ge=0, le=10_000, description="instructions taken at once; 0: eight per thread"),
    ] = 0
    grant: Annotated[
        str, Field(description="what applications get that ask: clock, random, environment")
    ] = ""
    allow_processes: Annotated[
        bool,
        Field(
            description="host applications that are executables of this machine, which are "
            "isolated less well than wasm"
        ),
    ] = False
    allow_root_sandbox: Annotated[
        bool,
        Field(description="run executables although this host is root; as nobody"),
    ] = False
    allow_processes_without_cgroup: Annotated[
        bool,
        Field(
            description="run executables where no control group can be made, bounded by "
            "resource limits alone"
        ),
    ] = False
    ttl_s: Annotated[
        int, Field(ge=1, le=60, description="how long silence is forgiven, both ways, s")
    ] = 10
    ca: Annotated[
        Path | None, Field(description="PEM; the servers' CA: with it, the platform speaks TLS")
    ] = None
    certificate: Annotated[
        Path | None, Field(description="PEM, shown to servers that ask for one (mTLS); needs ca")
    ] = None
    certificate_key: Annotated[Path | None, Field(description="PEM")] = None
    instruction_keys: Annotated[
        Path | None,
        Field(description="JWK set (JSON) of the keys to follow; default: what the server tells"),
    ] = None
    clock_file: Annotated[
        Path | None, Field(description="a simulated clock, as of demos and tests; default: none")
    ] = None
    metrics_listen: Annotated[
        str, Field(description="host:port for Prometheus and health; empty: none")
    ] = ""
    ready_file: Annotated[
        Path | None, Field(description="written as JSON once all applications are ready")
    ] = None

    @field_validator("name", "tenant")
    @classmethod
    def _slug(cls, name: str) -> str:
        try:
            return check_slug(name, "it")
        except InvalidInput as error:
            raise ValueError(error.message) from error

    def written_folders(self) -> Iterator[tuple[str, Path | None]]:
        """See ServiceSettings."""
        yield from (("data_dir", self.data_dir), ("compiled_dir", self.compiled_dir))

    def misfits(self) -> Iterator[str]:
        """See ServiceSettings."""
        yield from super().misfits()
        if not self.wanted():
            yield "--applications names nothing to host"
        unknown = set(self.grants()) - set(GRANTABLE)
        if unknown:
            yield f"--grant {min(unknown)}: there are {', '.join(GRANTABLE)}"
        yield from said_by(
            lambda: check_shown_certificate(self.certificate, self.certificate_key, self.ca)
        )

    def wanted(self) -> tuple[tuple[str, str], ...]:
        """(application, version or "") of what is to be hosted."""
        listed = (part.strip() for part in self.applications.split(","))
        return tuple(
            (name, version) for name, _, version in (part.partition("@") for part in listed if part)
        )

    def grants(self) -> tuple[str, ...]:
        """What applications get that ask for it."""
        return tuple(part.strip() for part in self.grant.split(",") if part.strip())

    def processes(self) -> ProcessPolicy:
        """What is allowed of applications of kind process."""
        return ProcessPolicy(
            allowed=self.allow_processes,
            as_root=self.allow_root_sandbox,
            without_cgroup=self.allow_processes_without_cgroup,
        )


def read_settings(arguments: Sequence[str]) -> PlatformSettings:
    """From a command line without the program's name; see control_plane.settings.read."""
    return read(PlatformSettings, arguments)
