"""The accounts of a unit: who lives there, who calls about them, and who is leaving."""
