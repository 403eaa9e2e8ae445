"""Segmentation metrics against scikit-learn, plain loops, and the published toy check."""

import functools

import jax
import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import adjusted_rand_score

from ocgm.errors import UserError
from ocgm.evaluation import segmentation

_STATIC = ("num_true", "num_predicted", "foreground_only")
adjusted_rand_index = jax.jit(segmentation.adjusted_rand_index, static_argnames=_STATIC)
segmentation_covering = jax.jit(segmentation.segmentation_covering, static_argnames=_STATIC)
segmentation_metrics = jax.jit(segmentation.segmentation_metrics, static_argnames="num_true_labels")

_NUM_TRUE, _NUM_PREDICTED = 7, 6


def _toy_labels() -> tuple[np.ndarray, np.ndarray]:
    row, column = np.mgrid[:64, :64]
    true = np.where(row < 20, 0, np.where(column < 10, 1, np.where(column < 40, 2, 3)))
    predicted = ((row + 5) // 16 + (column + 9) // 24) % 3
    return true[None], predicted[None]


def _log_masks(labels: np.ndarray, num_slots: int) -> np.ndarray:
    """Masks whose argmax is `labels`: [B, H, W] -> [B, K, H, W, 1]."""
    one_hot = np.moveaxis(np.eye(num_slots)[labels], -1, 1)[..., None]
    return np.log(0.6 * one_hot + 0.4 / num_slots).astype(np.float32)


def _random_labels(num_images: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of label maps from unrelated to equal, with label sets from one label to all."""
    rng = np.random.default_rng(0)
    true, predicted = [], []
    for _ in range(num_images):
        num_true, num_predicted = rng.integers(1, (_NUM_TRUE + 1, _NUM_PREDICTED + 1))
        shares = rng.dirichlet(np.ones(num_true))
        labels = rng.choice(num_true, size=(side, side), p=shares)
        copied = rng.permutation(_NUM_TRUE)[labels] % num_predicted
        noise = rng.integers(0, num_predicted, size=(side, side))
        true.append(labels)
        predicted.append(np.where(rng.random((side, side)) < rng.random() ** 2, noise, copied))
    return np.stack(true), np.stack(predicted)


def _covering_by_loops(true: np.ndarray, predicted: np.ndarray, first: int) -> tuple[float, float]:
    """(SC, mSC) of one image as the definition reads."""
    scores, areas = [], []
    for label in range(first, int(true.max()) + 1):
        mask = true == label
        if not mask.any():
            continue
        others = [(predicted == slot) & (true >= 0) for slot in np.unique(predicted)]
        scores.append(max((mask & other).sum() / (mask | other).sum() for other in others))
        areas.append(mask.sum())
    if not scores:
        return 0.0, 0.0
    return float(np.average(scores, weights=areas)), float(np.mean(scores))


def test_toy_check() -> None:
    true, predicted = _toy_labels()
    result = segmentation_metrics(_log_masks(predicted, 3), true, num_true_labels=4)
    expected = {
        "ari": 0.003536,
        "ari_fg": 0.005406,
        "msc": 0.180816,
        "sc": 0.197493,
        "msc_fg": 0.168624,
        "sc_fg": 0.188449,
    }
    assert result.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(result[name], [value], atol=1e-6, err_msg=name)


@pytest.mark.parametrize("foreground_only", [False, True])
def test_ari_agrees_with_scikit_learn(foreground_only: bool) -> None:
    true, predicted = _random_labels(1000, side=20)
    result = adjusted_rand_index(true, predicted, _NUM_TRUE, _NUM_PREDICTED, foreground_only)
    keep = true > 0 if foreground_only else true >= 0
    expected = [
        adjusted_rand_score(t[k], p[k]) for t, p, k in zip(true, predicted, keep, strict=True)
    ]
    assert np.ptp(expected) > 1  # The maps cover the range from chance to agreement.
    np.testing.assert_allclose(result, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("foreground_only", [False, True])
def test_covering_agrees_with_loops(foreground_only: bool) -> None:
    true, predicted = _random_labels(200, side=20)
    sc, msc = segmentation_covering(true, predicted, _NUM_TRUE, _NUM_PREDICTED, foreground_only)
    expected = [
        _covering_by_loops(t, p, first=int(foreground_only))
        for t, p in zip(true, predicted, strict=True)
    ]
    np.testing.assert_allclose(np.stack([sc, msc], axis=1), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("side", [128, 256, 1024])
@pytest.mark.parametrize("background", [0.3, 0.999])
def test_ari_is_precise_on_large_images(side: int, background: float) -> None:
    # One dominating label is the hard case: nearly all pairs agree by chance.
    rng = np.random.default_rng(1)
    true, predicted = (
        rng.integers(1, 4, (4, side, side)) * (rng.random((4, side, side)) > background)
        for _ in range(2)
    )
    predicted[2:] = np.where(rng.random((2, side, side)) < 0.5, true[2:], predicted[2:])
    result = adjusted_rand_index(true, predicted, 4, 4, foreground_only=False)
    expected = [
        adjusted_rand_score(t.ravel(), p.ravel()) for t, p in zip(true, predicted, strict=True)
    ]
    np.testing.assert_allclose(result, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("shape", [(256, 256), (300, 500), (1024, 1024)])
def test_uniform_label_map_of_a_large_size_does_not_overflow(shape: tuple[int, int]) -> None:
    labels = np.zeros((1, *shape), np.int32)
    halves = labels.copy()
    halves[:, : shape[0] // 2] = 1
    np.testing.assert_array_equal(adjusted_rand_index(labels, labels, 2, 2, False), [1.0])
    np.testing.assert_array_equal(adjusted_rand_index(halves, halves, 2, 2, False), [1.0])
    np.testing.assert_array_equal(adjusted_rand_index(labels, halves, 2, 2, False), [0.0])


def test_edge_cases() -> None:
    empty = np.zeros((8, 8), np.int32)
    one_object = empty.copy()
    one_object[2:4, 2:6] = 1
    halves = empty.copy()
    halves[:, 4:] = 1
    true = np.stack([empty, one_object, one_object])
    predicted = np.stack([halves, one_object, halves])
    ari_fg = adjusted_rand_index(true, predicted, 3, 2, foreground_only=True)
    np.testing.assert_array_equal(ari_fg, [1.0, 1.0, 0.0])
    sc, msc = segmentation_covering(true, predicted, 3, 2, foreground_only=True)
    # The third: 4 of 8 object pixels under a slot of 32 pixels that spills into the background.
    np.testing.assert_allclose(sc, [0.0, 1.0, 4 / 36], rtol=1e-6)
    np.testing.assert_allclose(msc, sc)


def test_dataset_without_foreground_labels() -> None:
    labels = np.zeros((2, 8, 8), np.int32)
    result = segmentation_metrics(_log_masks(labels, 2), labels, num_true_labels=1)
    np.testing.assert_array_equal(result["ari_fg"], [1.0, 1.0])
    np.testing.assert_array_equal(result["msc_fg"], [0.0, 0.0])
    np.testing.assert_array_equal(result["msc"], [1.0, 1.0])


def test_negative_true_labels_are_left_out() -> None:
    true, predicted = _random_labels(8, side=20)
    true[:, :5] = -1
    ari = adjusted_rand_index(true, predicted, _NUM_TRUE, _NUM_PREDICTED, False)
    without = adjusted_rand_index(true[:, 5:], predicted[:, 5:], _NUM_TRUE, _NUM_PREDICTED, False)
    np.testing.assert_array_equal(ari, without)
    sc, msc = segmentation_covering(true, predicted, _NUM_TRUE, _NUM_PREDICTED, False)
    expected = [_covering_by_loops(t, p, first=0) for t, p in zip(true, predicted, strict=True)]
    np.testing.assert_allclose(np.stack([sc, msc], axis=1), expected, atol=1e-6)


def test_order_of_slots_does_not_matter() -> None:
    true, predicted = _random_labels(16, side=20)
    order = np.random.default_rng(2).permutation(_NUM_PREDICTED)
    log_masks = _log_masks(predicted, _NUM_PREDICTED)
    result = segmentation_metrics(log_masks, true, num_true_labels=_NUM_TRUE)
    permuted = segmentation_metrics(log_masks[:, order], true, num_true_labels=_NUM_TRUE)
    for name in result:
        np.testing.assert_allclose(result[name], permuted[name], rtol=1e-6, err_msg=name)


def test_batch_equals_single_images_and_single_metrics() -> None:
    true, predicted = _random_labels(4, side=20)
    log_masks = _log_masks(predicted, _NUM_PREDICTED)
    batch = segmentation_metrics(log_masks, true.astype(np.uint8), num_true_labels=_NUM_TRUE)
    for i in range(4):
        single = segmentation_metrics(
            log_masks[i : i + 1], true[i : i + 1].astype(np.uint8), num_true_labels=_NUM_TRUE
        )
        for name in batch:
            np.testing.assert_allclose(batch[name][i], single[name][0], rtol=1e-6, err_msg=name)
    for suffix, foreground_only in (("", False), ("_fg", True)):
        arguments = (true, predicted, _NUM_TRUE, _NUM_PREDICTED, foreground_only)
        sc, msc = segmentation_covering(*arguments)
        np.testing.assert_allclose(
            batch[f"ari{suffix}"], adjusted_rand_index(*arguments), atol=1e-7
        )
        np.testing.assert_allclose(batch[f"sc{suffix}"], sc)
        np.testing.assert_allclose(batch[f"msc{suffix}"], msc)


def test_labels_out_of_range_do_not_vanish() -> None:
    true, predicted = _random_labels(3, side=20)
    true[1, 0, 0] = _NUM_TRUE
    result = segmentation_metrics(
        _log_masks(predicted, _NUM_PREDICTED), true, num_true_labels=_NUM_TRUE
    )
    for name, values in result.items():
        np.testing.assert_array_equal(np.isnan(values), [False, True, False], err_msg=name)
    predicted[2, 0, 0] = -1
    ari = adjusted_rand_index(true, predicted, _NUM_TRUE, _NUM_PREDICTED, True)
    sc, msc = segmentation_covering(true, predicted, _NUM_TRUE, _NUM_PREDICTED, True)
    for values in (ari, sc, msc):
        np.testing.assert_array_equal(np.isnan(values), [False, True, True])

    with pytest.raises(UserError, match=rf"label {_NUM_TRUE}, .* {_NUM_TRUE} labels"):
        segmentation.check_labels(true, _NUM_TRUE)
    segmentation.check_labels(true, _NUM_TRUE + 1)
    segmentation.check_labels(np.zeros((0, 4, 4), np.int32), 1)


@pytest.mark.parametrize("function", [adjusted_rand_index, segmentation_covering])
@pytest.mark.parametrize(
    ("true_shape", "predicted_shape", "dtype"),
    [
        ((8, 8), (8, 8), np.int32),
        ((2, 8, 8), (2, 8, 9), np.int32),
        ((2, 8, 8, 1), (2, 8, 8, 1), np.int32),
        ((2, 8, 8), (2, 8, 8), np.float32),
    ],
)
def test_wrong_shapes_and_types(function, true_shape, predicted_shape, dtype) -> None:
    with pytest.raises(AssertionError):
        function(np.zeros(true_shape, dtype), np.zeros(predicted_shape, dtype), 2, 2, False)


def test_wrong_masks() -> None:
    labels = np.zeros((2, 8, 8), np.int32)
    for shape in [(2, 3, 8, 8), (2, 3, 8, 8, 2), (2, 3, 8, 9, 1)]:
        with pytest.raises(AssertionError):
            segmentation_metrics(np.zeros(shape, np.float32), labels, num_true_labels=2)


def test_covering_of_the_largest_size() -> None:
    """Half of each quarter's pixels are in the slot of its neighbour."""
    true = np.repeat(np.arange(4), 256)[None, :, None] + np.zeros((1, 1, 1024), int)
    predicted = np.roll(true, 128, axis=1)
    sc, msc = segmentation_covering(true, predicted, 4, 4, foreground_only=False)
    np.testing.assert_allclose([sc, msc], [[1 / 3], [1 / 3]], rtol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_masks_that_are_not_numbers_have_no_score(value: float) -> None:
    """One pixel is enough; -inf is a mask of 0, which all slots together cannot have."""
    true, predicted = _random_labels(3, side=20)
    log_masks = _log_masks(predicted, _NUM_PREDICTED)
    log_masks[1, :, 3, 4] = value
    log_masks[2, 0] = -np.inf  # One slot is empty, which is usual.
    result = segmentation_metrics(log_masks, true, num_true_labels=_NUM_TRUE)
    for name, values in result.items():
        np.testing.assert_array_equal(np.isnan(values), [False, True, False], err_msg=name)


def test_images_that_are_too_large() -> None:
    labels = jax.ShapeDtypeStruct((1, 1024, 1025), np.int32)
    shaped = functools.partial(
        segmentation.adjusted_rand_index, num_true=2, num_predicted=2, foreground_only=False
    )
    with pytest.raises(ValueError, match="1024x1025"):
        jax.eval_shape(shaped, labels, labels)


def test_masks_are_enlarged_as_pillow_does():
    """The authors of EfficientMORL enlarge mask probabilities with Pillow's bicubic filter."""
    logits = np.random.default_rng(0).normal(size=(2, 3, 8, 8, 1)).astype(np.float32)
    log_masks = jax.nn.log_softmax(3 * logits, axis=1)
    enlarged = segmentation.resize_log_masks(log_masks, 16)
    assert enlarged.shape == (2, 3, 16, 16, 1)
    for image, slots in enumerate(np.exp(log_masks)[..., 0]):
        expected = [
            np.asarray(Image.fromarray(mask).resize((16, 16), Image.Resampling.BICUBIC))
            for mask in slots
        ]
        found = np.exp(enlarged[image, ..., 0])
        np.testing.assert_allclose(found, np.maximum(expected, 0), atol=1e-5)
        np.testing.assert_array_equal(found.argmax(0), np.argmax(expected, axis=0))
    assert segmentation.resize_log_masks(log_masks, 8) is log_masks
