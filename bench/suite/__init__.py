"""What is measured: each module one kind of figure, next to its ceiling."""
