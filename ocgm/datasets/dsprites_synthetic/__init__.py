"""dSprites, synthetic."""
