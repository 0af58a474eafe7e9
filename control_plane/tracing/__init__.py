"""Traces: what one call, or one event, went through, told to an OpenTelemetry collector."""
