"""Provisioning: the use case, from a checked request to its answer."""
