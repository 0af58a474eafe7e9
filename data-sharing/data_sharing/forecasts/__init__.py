"""Forecasts: running estimates over feeds, per key. Pure."""
