"""Locate, decide, record, answer: the provisioning service."""
