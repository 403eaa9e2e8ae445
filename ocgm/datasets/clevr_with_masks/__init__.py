"""CLEVR with masks (DeepMind), published."""
