"""Sketchy, published."""
