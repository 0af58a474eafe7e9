"""Who changed what, when and from where: written before a change, in a chain of hashes."""
