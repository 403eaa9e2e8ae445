"""dSprites, from the published file: TFDS builder."""
