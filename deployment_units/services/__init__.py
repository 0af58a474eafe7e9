"""What a unit serves: the service's own state of each client, and how it is handed on."""
