"""Streams of changes: of one client's home, of a unit's departures, of the fleet."""
