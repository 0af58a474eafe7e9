"""TLS of an agent's connections to the provisioning servers.

Reads the PEM files that the settings name, once, when the agent is built. Raises
InvalidInput that names the setting and the file.
"""

from __future__ import annotations

from collections.abc import Callable

from grpc import aio

from control_plane.process import read_pem
from control_plane.serving.dialing import dialer
from deployment_units.agent.settings import AgentSettings


def connector(settings: AgentSettings) -> Callable[[str], aio.Channel]:
    """Opens a channel to host:port, with TLS when a CA is given."""
    return dialer(
        read_pem("ca", settings.ca),
        certificate=read_pem("certificate", settings.certificate),
        key=read_pem("certificate_key", settings.certificate_key),
    )
