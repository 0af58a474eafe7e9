"""Gateway: over which channel a message goes, as what, and what is known of its arrival."""
