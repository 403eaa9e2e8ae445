"""Folder of the user's own images."""
