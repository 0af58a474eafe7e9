"""Profiles: by what an account is known, who sees which of it, and how it is reached."""
