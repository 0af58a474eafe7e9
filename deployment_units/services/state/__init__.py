"""Client state: the port through which an agent reads and replaces it, and its adapters."""
