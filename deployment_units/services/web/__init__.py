"""The web client of a unit: its HTTP port, pages and what they call."""
