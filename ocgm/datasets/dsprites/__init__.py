"""dSprites, published."""
