"""Parameters of other implementations, read from their files."""
