"""Telephone numbers of tenants: pools, whose a virtual number is, and whose call one is."""
