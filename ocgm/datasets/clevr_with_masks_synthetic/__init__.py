"""CLEVR with masks, synthetic."""
