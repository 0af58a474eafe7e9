"""Sharing: who may see which field of a feed, for which purpose, with whose consent. Pure."""
