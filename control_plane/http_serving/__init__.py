"""HTTP servers: their connections within limits, and a JSON door to gRPC methods."""
