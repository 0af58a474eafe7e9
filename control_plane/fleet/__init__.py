"""The records of units: what an operator wants, what an agent reports."""
