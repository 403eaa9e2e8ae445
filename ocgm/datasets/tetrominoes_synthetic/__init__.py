"""Tetrominoes (DeepMind): TFDS builder, scenes and renderer."""
