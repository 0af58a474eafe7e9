"""One ledger over several assignment clusters."""
