"""Moves: clients change units, one by one or a unit at a time; their state goes along."""
