"""A run of millions of users against a stack of its own, with what it takes at that size."""
