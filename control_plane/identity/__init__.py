"""Who is who: names, tickets, keys and tokens."""
