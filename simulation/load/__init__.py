"""Load: users that arrive whether or not they are answered, and what became of them."""
