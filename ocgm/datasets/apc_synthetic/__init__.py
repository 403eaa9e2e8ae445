"""APC 2016, synthetic."""
