"""Channels: the ways by which a unit delivers a message."""
