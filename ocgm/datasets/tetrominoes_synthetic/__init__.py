"""Tetrominoes, synthetic."""
