"""Sketchy: TFDS builder."""
