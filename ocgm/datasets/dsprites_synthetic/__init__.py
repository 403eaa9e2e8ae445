"""dSprites look-alike: TFDS builder."""
