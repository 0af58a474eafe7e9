"""Record: exact capacity without a hot key. See docs/ledger.md."""
