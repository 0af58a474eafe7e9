"""What operators see: the list of all metrics, and dashboards, written from code."""
