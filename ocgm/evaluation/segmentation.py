"""Segmentation metrics: adjusted Rand index and covering, one value per image, in batches on the device.

Every metric follows from one contingency table `[B, num_true, num_predicted]`: how many pixels
carry true label i and predicted label j. True label 0 is the background; `_fg` metrics leave it
out. Pixels with a negative true label are ignored by all metrics. An image that cannot be scored
gets NaN in every metric: one with a label that is too large for the table (`check_labels` raises an
error for it on the host), and one with masks that are not numbers.

Sources: Hubert and Arabie, "Comparing partitions" (1985), for ARI; Engelcke et al., "GENESIS"
(ICLR 2020, arXiv 1907.13052), for SC and mSC. The edge cases are those of the numbers reported
there and for GENESIS-V2 (arXiv 2104.09958).
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from ocgm.errors import UserError

# Pairs are counted in two int32, as high * _BASE + low; they hold the pairs of up to 2^21 - 1 pixels.
_BASE = 1024
_MAX_PIXELS = 1024 * 1024
# Pixels that are counted at once: their one-hot labels take [B, _CHUNK, number of labels] float32.
_CHUNK = 2**14


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
      ValueError: more than 1024 * 1024 pixels an image.
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
      out of range or the largest mask of a pixel is not a finite number.

    Raises:
      AssertionError, ValueError: as `adjusted_rand_index`.
    """
    chex.assert_rank(log_masks, 5)
    chex.assert_axis_dimension(log_masks, 4, 1)
    predicted_labels = jnp.argmax(log_masks[..., 0], axis=1)
    table, in_range = _contingency_table(
        true_labels, predicted_labels, num_true_labels, log_masks.shape[1]
    )
    # Argmax takes a NaN for the largest mask, so a model that fails would get a score.
    scored = in_range & jnp.all(jnp.isfinite(jnp.max(log_masks, axis=1)), axis=(1, 2, 3))
    metrics = {}
    for suffix, foreground_only in (("", False), ("_fg", True)):
        metrics[f"ari{suffix}"] = _rand_index(table, foreground_only)
        metrics[f"sc{suffix}"], metrics[f"msc{suffix}"] = _covering(table, foreground_only)
    return {name: jnp.where(scored, value, jnp.nan) for name, value in metrics.items()}


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
            f"Images of {height}x{width} are too large for the segmentation metrics, which take at"
            f" most {_MAX_PIXELS} pixels an image; resize labels and masks first."
        )
    chunk = min(height * width, _CHUNK)
    padding = ((0, 0), (0, -height * width % chunk))

    def chunks(labels: jax.Array) -> jax.Array:
        flat = labels.reshape(batch_size, -1).astype(jnp.int32)
        # No one-hot vector has a 1 for the label -1, so padding is not counted.
        padded = jnp.pad(flat, padding, constant_values=-1)
        return padded.reshape(batch_size, -1, chunk).swapaxes(0, 1)

    def count(table: jax.Array, labels: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        # A matmul is the fast way to count on every backend. It is exact also where its inputs are
        # cut to TF32 or bfloat16, since they are 0 or 1 and the float32 sums stay below 2^24.
        counts = jnp.einsum(
            "bnt,bnp->btp",
            jax.nn.one_hot(labels[0], num_true, dtype=jnp.float32),
            jax.nn.one_hot(labels[1], num_predicted, dtype=jnp.float32),
            preferred_element_type=jnp.float32,
        )
        return table + counts.astype(jnp.int32), None

    table = jnp.zeros((batch_size, num_true, num_predicted), jnp.int32)
    table, _ = jax.lax.scan(count, table, (chunks(true_labels), chunks(predicted_labels)))
    in_range = jnp.sum(table, axis=(1, 2)) == jnp.sum(true_labels >= 0, axis=(1, 2))
    return table, in_range


def _num_pairs(counts: jax.Array) -> jax.Array:
    """Return counts * (counts - 1) / 2 exactly, as int32 [2, ...]: high and low of high * _BASE + low.

    The even factor is halved first, so that int32 holds every step. Sums and differences of such arrays are exact too;
    `_to_float` carries.
    """
    half, odd = counts // 2, (counts - 1) | 1
    low = half * (odd % _BASE)
    return jnp.stack([half * (odd // _BASE) + low // _BASE, low % _BASE])


def _to_float(pairs: jax.Array) -> jax.Array:
    """Round numbers of pairs [2, ...], none of them negative, to float32 [...]; only 0 becomes 0."""
    high, low = pairs
    high, low = high + low // _BASE, low % _BASE
    return high.astype(jnp.float32) * _BASE + low.astype(jnp.float32)


def _rand_index(table: jax.Array, foreground_only: bool) -> jax.Array:
    """Return the ARI, float32 [B], of a contingency table.

    A 128x128 image has 1.3e8 pairs, more than float32 counts, and the textbook form
    (index - expected) / (maximum - expected) cancels in both places. So the pair counts are exact
    integers, and float32 comes in only for ARI = 2 (together * apart - split * merged) / denominator.
    The denominator is a sum of non-negative terms and at least 2 (together * apart + split *
    merged), so whatever cancels above, the error stays at a few float32 roundings of 1. That needs
    no 64-bit arithmetic, which JAX has off by default.
    """
    if foreground_only:
        table = table[:, 1:]
    together = jnp.sum(_num_pairs(table), axis=(2, 3))
    pairs_true = jnp.sum(_num_pairs(jnp.sum(table, axis=2)), axis=2)
    pairs_predicted = jnp.sum(_num_pairs(jnp.sum(table, axis=1)), axis=2)
    pairs = _num_pairs(jnp.sum(table, axis=(1, 2)))

    split = pairs_true - together
    merged = pairs_predicted - together
    apart = pairs - pairs_true - merged
    numerator = 2.0 * (_product(together, apart) - _product(split, merged))
    denominator = _product(pairs_true, pairs - pairs_predicted) + _product(
        pairs_predicted, pairs - pairs_true
    )
    identical = _to_float(split + merged) == 0
    return jnp.where(identical, 1.0, numerator / jnp.where(identical, 1.0, denominator))


def _product(a: jax.Array, b: jax.Array) -> jax.Array:
    return _to_float(a) * _to_float(b)


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
