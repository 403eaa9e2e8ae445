"""Colours of generated scenes."""

import numpy as np


def hsv_to_rgb(hue: np.ndarray, saturation: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Convert colours, all numbers in [0, 1].

    Args:
      hue, saturation, value: [...].

    Returns:
      float64 [..., 3], RGB.
    """
    # Each channel is a trapezoid over the circle of hues, a third of a turn from the next one.
    sixth = (np.array([5, 3, 1]) + 6 * hue[..., None]) % 6
    away = np.clip(np.minimum(sixth, 4 - sixth), 0, 1)
    return value[..., None] * (1 - saturation[..., None] * away)
