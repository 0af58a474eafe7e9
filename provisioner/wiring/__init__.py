"""Builds one provisioning server and runs it."""
