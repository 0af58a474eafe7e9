"""Decisions: events in, effects out, each exactly once."""
