"""What both kinds of servers tell Prometheus of what they share."""
