"""Applications: a unit as the agent of accounts that programs answer for."""
