"""What a unit's service keeps of each client: the port through which it is handed on."""
