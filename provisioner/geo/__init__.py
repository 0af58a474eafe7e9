"""Locate: where a client is, and how well that is known."""
