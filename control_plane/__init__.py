"""Machinery that every Homeport service shares: store, serving, identity, telemetry."""
