"""Runtimes: where an application runs, isolated."""
