"""dSprites, and scenes of them."""
