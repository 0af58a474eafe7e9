"""Telephony: calls and texts between people who see only each other's virtual numbers."""
