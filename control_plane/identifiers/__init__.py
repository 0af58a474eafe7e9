"""Names by which people reach each other, in normal form: when two texts name the same thing.

Pure: no I/O but the reading of tables that come with the package, no clock, no randomness.
"""
