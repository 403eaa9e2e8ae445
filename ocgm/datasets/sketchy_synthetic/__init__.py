"""Sketchy look-alike: TFDS builder and scenes."""
