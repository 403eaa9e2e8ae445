"""One file for each experiment; shared pieces are in common.py."""
