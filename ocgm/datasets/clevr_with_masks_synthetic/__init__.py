"""CLEVR with masks, synthetic: TFDS builder and scenes."""
