"""The changelog on NATS JetStream, and who has which partition of it."""
