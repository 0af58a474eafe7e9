"""Who has which name: claims of handles, addresses and numbers, and where their accounts are."""
