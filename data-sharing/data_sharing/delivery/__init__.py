"""From an instruction in the outbox to its recorded outcome."""
