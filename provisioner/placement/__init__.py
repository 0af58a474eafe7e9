"""Decide: which unit should take a client. Pure."""
