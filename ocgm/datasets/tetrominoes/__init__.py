"""Tetrominoes (DeepMind), from the published file: TFDS builder."""
