"""Servicers of the provisioning service: map in, use case, map out."""
