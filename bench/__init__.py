"""Ceilings and ratios, and the checks of `make check`."""
