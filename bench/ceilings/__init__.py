"""The most that could be reached: the same work with nothing of Homeport in it."""
