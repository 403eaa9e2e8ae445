"""Multi-dSprites (DeepMind), synthetic."""
