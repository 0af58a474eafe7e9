"""Answer: the gRPC face of the provisioning service."""
