"""Latencies that clients measured: what is believed of what they report."""
