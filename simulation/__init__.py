"""Users that are not there: who they would be, and what would become of them."""
