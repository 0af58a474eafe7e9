"""Contactor and contactee: as whom one writes, and at which identifier of whom."""
