"""ShapeStacks, synthetic."""
