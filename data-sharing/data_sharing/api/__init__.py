"""The gRPC and HTTP edge of data sharing."""
