"""Rules tried by the command itself, without a server that decides."""
