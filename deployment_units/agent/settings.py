"""Settings of an agent process: flags > environment (HOMEPORT_AGENT_…) > default."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, CliSettingsSource, SettingsConfigDict


class AgentSettings(BaseSettings):
    """One agent, or one for each unit of a fleet file."""

    model_config = SettingsConfigDict(
        env_prefix="HOMEPORT_AGENT_",
        extra="forbid",
        frozen=True,
        cli_kebab_case=True,
        cli_prog_name="homeport agent",
        cli_implicit_flags=True,
        cli_avoid_json=True,
    )

    units: Annotated[
        Path | None, Field(description="fleet file: one agent for each unit in it")
    ] = None
    unit: Annotated[str, Field(description="or the id of one unit that is applied already")] = ""
    server: Annotated[str, Field(description="provisioning servers, host:port[,host:port…]")] = (
        "127.0.0.1:7700"
    )
    listen: Annotated[
        str, Field(description="host:port for clients; with --units the port must be 0")
    ] = "127.0.0.1:0"
    tenants: Annotated[
        str, Field(description="tenants that --unit serves, by comma; empty: all")
    ] = ""
    token: Annotated[str, Field(description="better given by the environment")] = ""
    ttl_s: Annotated[
        int, Field(ge=2, le=60, description="how long a missing beat is forgiven, s")
    ] = 10
    keep_endpoints: Annotated[
        bool, Field(description="apply the file's endpoints instead of where agents listen")
    ] = False
    ready_file: Annotated[
        Path | None, Field(description="written as JSON once every unit is registered")
    ] = None
    log_level: Annotated[
        str, Field(pattern="^(debug|info|warning|error)$", description="least level logged")
    ] = "info"

    @model_validator(mode="after")
    def _one_of_two(self) -> AgentSettings:
        if (self.units is None) == (not self.unit):
            raise ValueError("name either a fleet file (--units) or one unit (--unit)")
        return self


def read_settings(arguments: Sequence[str]) -> AgentSettings:
    """Raises pydantic.ValidationError; SystemExit for --help and unknown flags."""
    sourced: Any = AgentSettings
    command_line: Any = CliSettingsSource(AgentSettings, cli_parse_args=list(arguments))
    settings: AgentSettings = sourced(_cli_settings_source=command_line)
    return settings
