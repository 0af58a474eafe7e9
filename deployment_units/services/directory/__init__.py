"""The directory as a unit asks it, for the accounts that are at home there."""
