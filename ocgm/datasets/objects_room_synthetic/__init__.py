"""Objects Room, synthetic: TFDS builder and scenes."""
