"""Objects Room, synthetic."""
