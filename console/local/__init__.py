"""`homeport up`: the whole thing on one machine."""
