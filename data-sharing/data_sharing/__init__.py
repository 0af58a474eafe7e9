"""Decisions over feeds: isolated applications profit from each other's data."""
