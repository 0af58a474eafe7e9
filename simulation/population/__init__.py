"""Who the users of a simulation are, and where: pure, and the same for the same seed."""
