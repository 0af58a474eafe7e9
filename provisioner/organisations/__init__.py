"""Organisations, the domains they have proved, and whom invitations reach because of them."""
