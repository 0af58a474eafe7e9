"""Registry: the applications, what they produce, consume and offer."""
