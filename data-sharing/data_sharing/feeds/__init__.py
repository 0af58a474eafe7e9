"""Feeds: streams of CloudEvents, checked, kept and replayed."""
