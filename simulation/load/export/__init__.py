"""The same users for load generators that a team has already: Locust and ghz."""
