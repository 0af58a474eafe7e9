"""What runs inside a deployment unit: registration, live status, ticket checks."""
