"""All that a store holds in one file, and a store from such a file."""
