"""`homeport chat`: one conversation in a terminal."""
