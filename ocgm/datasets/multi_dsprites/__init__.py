"""Multi-dSprites (GENESIS paper): TFDS builder and scenes."""
