"""Settings of one data-sharing server: flags > environment > TOML file > default.

The only place that reads any of them. Unknown flags and unknown keys of the file fail.
Environment variables are the field names in upper case behind HOMEPORT_SHARING_, lists as
JSON.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    CliSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from control_plane.serving.server import Transport

CONFIG_VARIABLE = "HOMEPORT_SHARING_CONFIG"


class Settings(BaseSettings):
    """See the module; `homeport share --help` shows these descriptions."""

    model_config = SettingsConfigDict(
        env_prefix="HOMEPORT_SHARING_",
        extra="forbid",
        frozen=True,
        cli_kebab_case=True,
        cli_prog_name="homeport share",
        cli_implicit_flags=True,
        cli_avoid_json=True,
    )
    toml: ClassVar[Path | None] = None

    data_dir: Annotated[
        Path, Field(description="events, applications and compiled code are kept there")
    ] = Path("homeport-data/sharing")
    listen: Annotated[str, Field(description="host:port for gRPC; port 0: any")] = "127.0.0.1:7703"
    http_listen: Annotated[
        str, Field(description="host:port for CloudEvents over HTTP; empty: none")
    ] = "127.0.0.1:7704"
    metrics_listen: Annotated[
        str, Field(description="host:port for metrics and health over HTTP; empty: none")
    ] = "127.0.0.1:7705"
    transport: Annotated[Transport, Field(description="auto, native or grpcio")] = Transport.AUTO
    tokens: Annotated[
        Path | None, Field(description="TOML file of API tokens; default: everybody may do all")
    ] = None
    retain_s: Annotated[float, Field(gt=0, description="how long events are kept, s")] = (
        7 * 86_400.0
    )
    retain_bytes: Annotated[
        int, Field(ge=1 << 20, description="how much of events is kept for each tenant, bytes")
    ] = 4 << 30
    keep_decisions_s: Annotated[
        float, Field(gt=0, description="how long decisions are kept, s")
    ] = 30 * 86_400.0
    signing_key: Annotated[
        Path | None,
        Field(description="signs instructions; made where it is not; default: in data_dir"),
    ] = None
    clock_file: Annotated[
        Path | None, Field(description="a simulated clock, as of demos and tests; default: none")
    ] = None
    max_event_bytes: Annotated[
        int, Field(ge=1024, le=512 * 1024, description="largest event that is taken")
    ] = 64 * 1024
    max_late_s: Annotated[
        float, Field(gt=0, description="how old an event's time may be when it comes, s")
    ] = 7 * 86_400.0
    max_ahead_s: Annotated[
        float, Field(gt=0, description="how far in the future an event's time may be, s")
    ] = 300.0
    max_artifact_bytes: Annotated[
        int, Field(ge=1024, le=1 << 30, description="largest artifact that is taken")
    ] = 64 << 20
    drain_s: Annotated[
        float, Field(ge=0, le=600, description="how long calls may finish after SIGTERM, s")
    ] = 10.0
    ready_file: Annotated[
        Path | None, Field(description="written as JSON once this server serves")
    ] = None
    tls_certificate: Annotated[Path | None, Field(description="PEM; needs tls_key")] = None
    tls_key: Annotated[Path | None, Field(description="PEM")] = None
    tls_client_ca: Annotated[
        Path | None, Field(description="PEM; callers must show a certificate of it")
    ] = None
    log_level: Annotated[
        str, Field(pattern="^(debug|info|warning|error)$", description="least level logged")
    ] = "info"

    @field_validator("listen", "http_listen", "metrics_listen")
    @classmethod
    def _host_and_port(cls, value: str, info: ValidationInfo) -> str:
        if not value and info.field_name != "listen":
            return value
        host, _, port = value.rpartition(":")
        if not host or not port.isdigit() or int(port) > 65535:
            raise ValueError(f"{value!r} is not host:port")
        return value

    @model_validator(mode="after")
    def _fit_together(self) -> Settings:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together")
        if self.tls_client_ca is not None and self.tls_certificate is None:
            raise ValueError("tls_client_ca needs tls_certificate")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        sources: list[PydanticBaseSettingsSource] = [init_settings, env_settings]
        if cls.toml is not None:
            sources.append(TomlConfigSettingsSource(settings_cls, toml_file=cls.toml))
        return tuple(sources)


def read_settings(arguments: Sequence[str]) -> Settings:
    """Settings from a command line without the program's name; `--config FILE` (or
    HOMEPORT_SHARING_CONFIG) names the TOML file.

    Raises pydantic.ValidationError, SystemExit for `--help` and unknown flags, and
    FileNotFoundError for a file that is not there.
    """
    rest, config = list(arguments), os.environ.get(CONFIG_VARIABLE)
    for place, word in enumerate(rest):
        if word == "--config" and place + 1 < len(rest):
            config = rest[place + 1]
            del rest[place : place + 2]
            break
        if word.startswith("--config="):
            config = rest.pop(place).partition("=")[2]
            break
    if config and not Path(config).is_file():
        raise FileNotFoundError(f"there is no settings file {config}")

    class Sourced(Settings):
        toml: ClassVar[Path | None] = Path(config) if config else None

    sourced: Any = Sourced
    command_line: Any = CliSettingsSource(Sourced, cli_parse_args=rest)
    given: dict[str, Any] = sourced(_cli_settings_source=command_line).model_dump()
    return Settings.model_construct(**given)
