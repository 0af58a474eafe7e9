"""A tenant's policy as it was applied: its record, who writes it, and who follows it."""
