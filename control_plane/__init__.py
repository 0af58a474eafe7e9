"""Machinery that every Homeport service shares: store, serving, identity, telemetry."""

import os

# Read when grpc is imported. By itself it writes a line of its own for each handshake that a
# stranger fails, beside the log and in another form.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
