"""Device graph: which browsers are on which device of an account, by when it booted."""
