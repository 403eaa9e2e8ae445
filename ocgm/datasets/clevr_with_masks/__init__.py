"""CLEVR with masks (DeepMind), from the published file: TFDS builder and preprocessing."""
