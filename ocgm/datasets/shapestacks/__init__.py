"""ShapeStacks: TFDS builder."""
