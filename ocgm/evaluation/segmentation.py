"""Segmentation metrics: adjusted Rand index and covering, one value per image, in batches on the device.

Every metric follows from one contingency table `[B, num_true, num_predicted]`: how many pixels
carry true label i and predicted label j. True label 0 is the background; `_fg` metrics leave it
out. Pixels with a negative true label are ignored by all metrics. A label that is too large for the
table would be dropped from it, so such an image gets NaN in every metric; `check_labels` raises an
error for it on the host.

Sources: Hubert and Arabie, "Comparing partitions" (1985), for ARI; Engelcke et al., "GENESIS"
(ICLR 2020, arXiv 1907.13052), for SC and mSC. The edge cases are those of the numbers reported
there and for GENESIS-V2 (arXiv 2104.09958).
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from ocgm.errors import UserError

# 65536 pixels make 2,147,450,880 pairs, just below the largest int32.
_MAX_PIXELS = 256 * 256


def adjusted_rand_index(
    true_labels: jax.Array,
    predicted_labels: jax.Array,
    num_true: int,
    num_predicted: int,
    foreground_only: bool,
) -> jax.Array:
    """Compute the adjusted Rand index; agrees with scikit-learn's `adjusted_rand_score` to 1e-6.

    An image without any pixel to compare has 1.0, as has one with a single true and a single
    predicted label; one true label and several predicted ones give 0.0.

    Args:
      true_labels: integers, [B, H, W]; 0 is the background, negative pixels are left out.
      predicted_labels: integers in [0, num_predicted), [B, H, W].
      num_true: number of true labels, background included (largest label + 1). Static under jit.
      num_predicted: number of predicted labels. Static under jit.
      foreground_only: compare only pixels with a true label above 0 (ARI-FG). Static under jit.

    Returns:
      float32 [B], at most 1; NaN where a label is out of range.

    Raises:
      AssertionError: wrong rank, differing shapes, or labels that are not integers.
      ValueError: more than 256 * 256 pixels an image.
    """
    table, in_range = _contingency_table(true_labels, predicted_labels, num_true, num_predicted)
    return jnp.where(in_range, _rand_index(table, foreground_only), jnp.nan)


def segmentation_covering(
    true_labels: jax.Array,
    predicted_labels: jax.Array,
    num_true: int,
    num_predicted: int,
    foreground_only: bool,
) -> tuple[jax.Array, jax.Array]:
    """Compute the segmentation covering: the best IoU of each true mask with a predicted one, averaged.

    A predicted mask keeps its background pixels when `foreground_only` is set, so spilling into
    the background lowers its IoU. An image without any true mask has 0.0 and counts.

    Args:
      true_labels, predicted_labels, num_true, num_predicted: as for `adjusted_rand_index`.
      foreground_only: average over true labels above 0 only. Static under jit.

    Returns:
      (sc, msc), each float32 [B] in [0, 1]: the mean weighted by the true masks' areas, and the
      unweighted mean. NaN where a label is out of range.

    Raises:
      AssertionError, ValueError: as `adjusted_rand_index`.
    """
    table, in_range = _contingency_table(true_labels, predicted_labels, num_true, num_predicted)
    sc, msc = _covering(table, foreground_only)
    return jnp.where(in_range, sc, jnp.nan), jnp.where(in_range, msc, jnp.nan)


def segmentation_metrics(
    log_masks: jax.Array, true_labels: jax.Array, num_true_labels: int
) -> dict[str, jax.Array]:
    """Compute all metrics of soft masks; a pixel belongs to the slot with its largest mask.

    Args:
      log_masks: [B, K, H, W, 1].
      true_labels: integers, [B, H, W]; 0 is the background.
      num_true_labels: largest true label of the dataset + 1. Static under jit.

    Returns:
      Keys `ari`, `ari_fg`, `sc`, `msc`, `sc_fg`, `msc_fg`; each float32 [B], NaN where a label is
      out of range.

    Raises:
      AssertionError, ValueError: as `adjusted_rand_index`.
    """
    chex.assert_rank(log_masks, 5)
    chex.assert_axis_dimension(log_masks, 4, 1)
    predicted_labels = jnp.argmax(log_masks[..., 0], axis=1)
    table, in_range = _contingency_table(
        true_labels, predicted_labels, num_true_labels, log_masks.shape[1]
    )
    metrics = {}
    for suffix, foreground_only in (("", False), ("_fg", True)):
        metrics[f"ari{suffix}"] = _rand_index(table, foreground_only)
        metrics[f"sc{suffix}"], metrics[f"msc{suffix}"] = _covering(table, foreground_only)
    return {name: jnp.where(in_range, value, jnp.nan) for name, value in metrics.items()}


def resize_log_masks(log_masks: jax.Array, size: int) -> jax.Array:
    """Resize inferred masks to the side of the true ones, by bicubic interpolation of probabilities.

    CLEVR's true masks have 192x192 pixels in EfficientMORL's protocol, whatever the model's side
    (the mask probabilities are enlarged, then the largest is taken).

    Args:
      log_masks: [B, K, H, W, 1].
      size: side of the result in pixels.

    Returns:
      [B, K, size, size, 1]; `log_masks` itself where the side is right already.
    """
    chex.assert_rank(log_masks, 5)
    batch_size, num_slots, height, width, _ = log_masks.shape
    if height == width == size:
        return log_masks
    shape = (batch_size, num_slots, size, size, 1)
    # The cubic filter overshoots, also below zero.
    probabilities = jnp.maximum(jax.image.resize(jnp.exp(log_masks), shape, "cubic"), 1e-30)
    return jnp.log(probabilities)


def check_labels(true_labels: np.ndarray, num_true_labels: int) -> None:
    """Check on the host that the metrics' table has a row for every label.

    Args:
      true_labels: integers of any shape.
      num_true_labels: number of labels that the metrics are computed with.

    Raises:
      UserError: a label is `num_true_labels` or larger.
    """
    largest = int(np.max(true_labels)) if np.size(true_labels) else -1
    if largest >= num_true_labels:
        raise UserError(
            f"The label maps hold label {largest}, but the metrics were set up for"
            f" {num_true_labels} labels, background included; set the dataset's number of labels to"
            f" at least {largest + 1}."
        )


def _contingency_table(
    true_labels: jax.Array, predicted_labels: jax.Array, num_true: int, num_predicted: int
) -> tuple[jax.Array, jax.Array]:
    """Return pixel counts, int32 [B, num_true, num_predicted], and whether they are complete, bool [B]."""
    chex.assert_rank([true_labels, predicted_labels], 3)
    chex.assert_equal_shape([true_labels, predicted_labels])
    chex.assert_type([true_labels, predicted_labels], int)
    batch_size, height, width = true_labels.shape
    if height * width > _MAX_PIXELS:
        raise ValueError(
            f"Images of {height}x{width} have more pixel pairs than int32 can count; the metrics"
            f" take at most {_MAX_PIXELS} pixels an image, so resize labels and masks first."
        )
    true_labels = true_labels.reshape(batch_size, -1)
    true_one_hot = jax.nn.one_hot(true_labels, num_true, dtype=jnp.float32)
    predicted_one_hot = jax.nn.one_hot(
        predicted_labels.reshape(batch_size, -1), num_predicted, dtype=jnp.float32
    )
    # A matmul is the fast way to count on every backend. It is exact also where its inputs are cut
    # to TF32 or bfloat16, since they are 0 or 1 and the float32 sums stay below 2^24.
    table = jnp.einsum(
        "bnt,bnp->btp", true_one_hot, predicted_one_hot, preferred_element_type=jnp.float32
    ).astype(jnp.int32)
    in_range = jnp.sum(table, axis=(1, 2)) == jnp.sum(true_labels >= 0, axis=1)
    return table, in_range


def _num_pairs(counts: jax.Array) -> jax.Array:
    """Return counts * (counts - 1) / 2, halving the even factor first so that int32 holds every step."""
    return (counts // 2) * ((counts - 1) | 1)


def _rand_index(table: jax.Array, foreground_only: bool) -> jax.Array:
    """Return the ARI, float32 [B], of a contingency table.

    A 128x128 image has 1.3e8 pairs, more than float32 counts, and the textbook form
    (index - expected) / (maximum - expected) cancels in both places. So the pair counts are exact
    int32, and float32 comes in only for ARI = 2 (together * apart - split * merged) / denominator.
    The denominator is a sum of non-negative terms and at least 2 (together * apart + split *
    merged), so whatever cancels above, the error stays at a few float32 roundings of 1. That needs
    no 64-bit arithmetic, which JAX has off by default.
    """
    if foreground_only:
        table = table[:, 1:]
    together = jnp.sum(_num_pairs(table), axis=(1, 2))
    pairs_true = jnp.sum(_num_pairs(jnp.sum(table, axis=2)), axis=1)
    pairs_predicted = jnp.sum(_num_pairs(jnp.sum(table, axis=1)), axis=1)
    pairs = _num_pairs(jnp.sum(table, axis=(1, 2)))

    split = pairs_true - together
    merged = pairs_predicted - together
    apart = pairs - pairs_true - merged
    numerator = 2.0 * (_product(together, apart) - _product(split, merged))
    denominator = _product(pairs_true, pairs - pairs_predicted) + _product(
        pairs_predicted, pairs - pairs_true
    )
    identical = (split == 0) & (merged == 0)
    return jnp.where(identical, 1.0, numerator / jnp.where(identical, 1.0, denominator))


def _product(a: jax.Array, b: jax.Array) -> jax.Array:
    return a.astype(jnp.float32) * b.astype(jnp.float32)


def _covering(table: jax.Array, foreground_only: bool) -> tuple[jax.Array, jax.Array]:
    """Return SC and mSC, each float32 [B], of a contingency table."""
    # Before the background row goes: predicted areas count the pixels that spill into it.
    predicted_areas = jnp.sum(table, axis=1, keepdims=True)
    if foreground_only:
        table = table[:, 1:]
    areas = jnp.sum(table, axis=2, keepdims=True)
    unions = areas + predicted_areas - table
    best_iou = jnp.max(table / jnp.maximum(unions, 1), axis=2)

    areas = areas[..., 0].astype(jnp.float32)
    present = (areas > 0).astype(jnp.float32)
    return _weighted_mean(best_iou, areas), _weighted_mean(best_iou, present)


def _weighted_mean(values: jax.Array, weights: jax.Array) -> jax.Array:
    """Return the mean over the last axis; 0 where all weights are 0 (an image without true masks)."""
    return jnp.sum(values * weights, axis=1) / jnp.maximum(jnp.sum(weights, axis=1), 1.0)
