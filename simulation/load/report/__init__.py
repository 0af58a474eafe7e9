"""The report of a load: one HTML file that needs nothing from anywhere."""
