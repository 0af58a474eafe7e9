"""The services of a unit, and what they keep of its clients."""
