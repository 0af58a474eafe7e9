"""Contacts: who knows whom."""
