"""Calendars: times in zones, recurrence (RFC 5545), and hours that are open. Pure."""
