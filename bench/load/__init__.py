"""Load that is not the bottleneck: pre-encoded requests over raw HTTP/2."""
