"""Multi-dSprites of the GENESIS paper."""
