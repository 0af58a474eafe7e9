"""What a policy would do: everybody placed anew, and what differs from another policy."""
