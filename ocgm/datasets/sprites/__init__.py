"""dSprites shapes and scenes of them."""
