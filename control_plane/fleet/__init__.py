"""Units as the store keeps them: records, lifecycle, capacity, liveness, jobs."""
