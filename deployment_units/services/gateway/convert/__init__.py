"""Conversions: one content as what a channel can show, and what was lost on the way."""
