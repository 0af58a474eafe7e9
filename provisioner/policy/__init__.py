"""Policy: a tenant's rules on who may live where, read, compiled and answered. Pure."""
