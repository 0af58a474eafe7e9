"""Deployment units: what runs inside one, an agent and the services beside it."""
