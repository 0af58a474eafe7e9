"""Spreads assignments over several clusters by shard. See docs/reference/scale-out.md."""
