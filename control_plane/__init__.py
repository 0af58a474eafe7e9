"""Machinery that every Homeport service shares: store, serving, identity, telemetry."""

import os

# Read when grpc is imported. By itself it writes a line of its own for each handshake that a
# stranger fails, beside the log and in another form.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
# Programs are started by fork(2) where uvloop starts them, and there gRPC begins its threads anew
# before the program is: some ended by SIGSEGV. Nothing of ours goes on with gRPC after a fork.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
