"""Colors of slots, label maps and heat maps. Slot k has the same color in every figure."""

import chex
import numpy as np

from ocgm.images import Array, to_float, to_uint8

# Okabe and Ito, "Color universal design" (2008), without black; then the five colors that are farthest in Lab from all
# before them, also under simulated protan-, deuter- and tritanopia.
_PALETTE = np.array(
    [
        (230, 159, 0),
        (86, 180, 233),
        (0, 158, 115),
        (240, 228, 66),
        (0, 114, 178),
        (213, 94, 0),
        (204, 121, 167),
        (102, 17, 0),
        (51, 34, 136),
        (221, 221, 221),
        (136, 34, 85),
        (17, 119, 51),
    ],
    np.uint8,
)
_PALETTE_DIMMING = 0.6

_BACKGROUND_COLOR = (38, 38, 38)
PAPER_COLOR = (255, 255, 255)
INK_COLOR = (34, 34, 34)
_CHECKER_GRAYS = (188, 212)
# Of heat maps, from the smallest to the largest value: lightness falls monotonically.
_HEAT_COLORS = np.array([PAPER_COLOR, _PALETTE[4], _PALETTE[8]], np.float32)


def mask_colors(num_colors: int) -> np.ndarray:
    """Return distinct colors for slots or objects, the most different ones first.

    Args:
      num_colors: number of colors; beyond 12 the palette repeats in darker shades.

    Returns:
      uint8 [num_colors, 3].
    """
    index = np.arange(num_colors)
    dimming = _PALETTE_DIMMING ** (index // len(_PALETTE))
    return np.round(_PALETTE[index % len(_PALETTE)] * dimming[:, None]).astype(np.uint8)


def segmentation_map(log_masks: Array) -> np.ndarray:
    """Color every pixel by the slot with the largest mask.

    Args:
      log_masks: [B, K, H, W, 1].

    Returns:
      uint8 [B, H, W, 3].
    """
    chex.assert_rank(log_masks, 5)
    labels = np.argmax(np.asarray(log_masks)[..., 0], axis=1)
    return mask_colors(log_masks.shape[1])[labels]


def label_map(labels: np.ndarray) -> np.ndarray:
    """Color label maps: the background (0) dark gray, object 1 in the first color, void (-1) white.

    Args:
      labels: integers [..., H, W].

    Returns:
      uint8 [..., H, W, 3].
    """
    objects = mask_colors(int(np.max(labels, initial=0)))
    # The index -1 is the last color.
    colors = np.concatenate([[_BACKGROUND_COLOR], objects, [PAPER_COLOR]])
    return colors.astype(np.uint8)[labels]


def overlay(images: np.ndarray, labels: np.ndarray, alpha: float) -> np.ndarray:
    """Blend images with the colors of their labels.

    Args:
      images: float [B, H, W, 3] in [0, 1].
      labels: integers [B, H, W], e.g. the argmax over slots.
      alpha: weight of the colors, 0 (image only) to 1 (colors only).

    Returns:
      uint8 [B, H, W, 3].
    """
    chex.assert_rank(images, 4)
    chex.assert_equal_shape([images[..., 0], labels])
    colors = to_float(mask_colors(int(np.max(labels, initial=0)) + 1)[labels])
    return to_uint8((1 - alpha) * np.asarray(images) + alpha * colors)


def heat_colors(values: np.ndarray) -> np.ndarray:
    """Return the colors, uint8 [..., 3], of values [...] in [0, 1]."""
    steps = np.linspace(0, 1, len(_HEAT_COLORS))
    channels = [np.interp(values, steps, channel) for channel in _HEAT_COLORS.T]
    return np.round(np.stack(channels, axis=-1)).astype(np.uint8)


def on_checkerboard(components: Array, log_masks: Array) -> np.ndarray:
    """Return components [..., H, W, 3] where their masks [..., H, W, 1] are one, a checkerboard where they are zero.

    Args:
      components: float in [0, 1].
      log_masks: logarithms of the masks.
    """
    masks = np.exp(np.asarray(log_masks, np.float32))
    return masks * components + (1 - masks) * _checkerboard(*components.shape[-3:-1])


def _checkerboard(height: int, width: int) -> np.ndarray:
    """Return a checkerboard of eight squares along the shorter side, float [H, W, 1]."""
    square = max(1, min(height, width) // 8)
    row, column = np.mgrid[:height, :width] // square
    return np.where((row + column) % 2, *_CHECKER_GRAYS)[..., None] / 255
