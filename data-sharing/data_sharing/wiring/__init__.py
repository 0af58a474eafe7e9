"""Builds one data-sharing server's object graph in one pass, and runs it."""
