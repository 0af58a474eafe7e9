"""`make demo-directory`: people who find and reach each other by their names."""
