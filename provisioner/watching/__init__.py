"""Who is told of moves: watching clients, units that were left, watchers of the fleet."""
