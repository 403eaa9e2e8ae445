"""Multi-dSprites (DeepMind): TFDS builder, scenes and textures."""
