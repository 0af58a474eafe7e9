"""Invitations to groups: written down, brought, and answered, for the accounts of a unit."""
