"""Offloading: work whose cost a caller decides, done in child processes within limits."""
