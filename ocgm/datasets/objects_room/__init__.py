"""Objects Room (DeepMind), from the published files: TFDS builder and the planes' meaning."""
