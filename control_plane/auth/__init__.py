"""Who calls, by token, OpenID provider or certificate, and what they may do."""
