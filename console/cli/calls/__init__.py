"""Calls that commands make: to servers over gRPC, and to the stores."""
