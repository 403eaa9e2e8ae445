"""ShapeStacks, published."""
