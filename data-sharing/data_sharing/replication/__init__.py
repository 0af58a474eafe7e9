"""The decision side's database beyond one machine: a changelog that others build it from."""
