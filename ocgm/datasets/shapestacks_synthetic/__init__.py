"""ShapeStacks look-alike: TFDS builder and towers."""
