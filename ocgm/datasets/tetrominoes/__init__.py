"""Tetrominoes (DeepMind), published."""
