"""Event plans: what happens when, around which event of a user. Pure."""
