"""Deployment units: their records, what runs inside them."""
