"""TLS of an agent's connections to the provisioning servers.

Reads the PEM files that the settings name when the agent is built, and again for each channel.
Raises InvalidInput that names the setting and the file.
"""

from __future__ import annotations

from control_plane.serving.dialing import FileDialer
from deployment_units.agent.settings import AgentSettings


def connector(settings: AgentSettings) -> FileDialer:
    """Opens a channel to host:port, with TLS when a CA is given."""
    return FileDialer(
        ca=settings.ca,
        certificate=settings.certificate,
        key=settings.certificate_key,
        settings=("ca", "certificate", "certificate_key"),
    )
