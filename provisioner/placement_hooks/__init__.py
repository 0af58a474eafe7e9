"""Hooks of policies at work: which there are, how they are asked, and what is kept of that."""
