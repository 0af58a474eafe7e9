"""Expressions: CEL, compiled and checked once, evaluated often, never raising."""
