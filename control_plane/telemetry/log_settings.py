"""The settings of logs, the same for every program."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from control_plane.client_address import AddressDetail
from control_plane.settings import ServiceSettings


class LogSettings(ServiceSettings):
    """What docs/operations/tracing.md says of logs."""

    log_level: Annotated[
        str, Field(pattern="^(debug|info|warning|error)$", description="least level logged")
    ] = "info"
    log_addresses: Annotated[
        AddressDetail,
        Field(
            description="what logs show of clients' addresses: truncated (IPv4 /24, IPv6 /48), "
            "full or none"
        ),
    ] = AddressDetail.TRUNCATED
