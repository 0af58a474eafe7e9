"""How much each tenant, client and address may ask of a service."""
