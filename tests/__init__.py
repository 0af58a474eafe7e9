"""A package of its own: sippy installs a package of this name, which would be found in place of a
folder without this file."""
