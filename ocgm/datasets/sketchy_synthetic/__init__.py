"""Sketchy, synthetic."""
