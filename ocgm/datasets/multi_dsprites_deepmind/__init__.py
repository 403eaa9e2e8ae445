"""Multi-dSprites (DeepMind), published."""
