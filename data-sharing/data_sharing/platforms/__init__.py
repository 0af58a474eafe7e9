"""Platforms: hosts that run applications and report outcomes."""
