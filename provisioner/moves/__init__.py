"""Moves: clients move to other units, one by one or a unit at a time, with their state."""
