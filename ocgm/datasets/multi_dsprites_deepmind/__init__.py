"""Multi-dSprites (DeepMind), from the published files: TFDS builder."""
