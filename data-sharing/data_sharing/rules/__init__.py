"""Rules: which events matter, and what follows from them. Pure."""
