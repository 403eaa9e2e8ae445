"""DCI: scores of matrices worked out by hand, codes whose scores are known, objects and slots matched on small maps."""

import sys

import numpy as np
import pytest
import scipy.linalg

from ocgm.datasets.builders.base import object_factor, scene_factor
from ocgm.errors import InputError, UserError
from ocgm.evaluation import dci as dci_lib
from ocgm.evaluation.dci import dci, match_objects, match_slots, with_kinds
from ocgm.models.base import Latent, Outputs

# ---- scores


@pytest.mark.parametrize(
    ("importance", "disentangled", "complete"),
    [
        (np.eye(3), 1.0, 1.0),
        # Two codes share a factor: each matters for one factor only, but the factor rests on both.
        ([[0.5, 0.0], [0.5, 0.0], [0.0, 1.0]], 1.0, 1 - 0.5 * np.log(2) / np.log(3)),
        # One code does everything.
        ([[1.0, 1.0], [0.0, 0.0]], 0.0, 1.0),
        # H(3/4, 1/4) = 0.811278 bits and H(1/5, 4/5) = 0.721928 bits; columns weigh 3/8 and 5/8.
        ([[0.75, 0.25], [0.0, 1.0]], 0.5 * 0.188722 + 0.5, 0.375 + 0.625 * 0.278072),
        (np.full((4, 3), 0.25), 0.0, 0.0),
        (np.zeros((4, 3)), 0.0, 0.0),
    ],
)
def test_scores_by_hand(importance, disentangled, complete):
    importance = np.asarray(importance, float)
    np.testing.assert_allclose(dci_lib.disentanglement(importance), disentangled, atol=1e-6)
    np.testing.assert_allclose(dci_lib.completeness(importance), complete, atol=1e-6)


def synthetic(count: int = 400) -> tuple[np.ndarray, dci_lib.Factors]:
    """Codes with one dimension for each factor and one that is noise."""
    rng = np.random.default_rng(0)
    shape = rng.integers(0, 3, count)
    position = rng.random((2, count))
    codes = np.stack([*position, shape, rng.normal(size=count)], axis=1)
    return codes, {
        "x": (position[0], "number"),
        "y": (position[1], "number"),
        "shape": (shape, "class"),
    }


def test_disentangled_codes_and_rotated_ones():
    codes, factors = synthetic()
    scores = dci(codes, factors)
    assert scores.disentanglement > 0.98 and scores.completeness > 0.98
    assert list(scores.informativeness) == ["x", "y", "shape"]
    assert scores.informativeness["shape"] == scores.informativeness_discrete == 1.0
    assert 0.99 < scores.informativeness_continuous <= 1.0
    # No prediction of a regressor is the very same number.
    np.testing.assert_allclose(scores.informativeness_released, 1 / 3, atol=0.01)
    assert scores.importance.shape == (4, 3)
    np.testing.assert_array_equal(scores.importance.argmax(axis=0), [0, 1, 2])

    # A rotation that spreads each factor over all dimensions alike.
    rotation = scipy.linalg.hadamard(4) / 2
    rotated = dci((codes - codes.mean(0)) / codes.std(0) @ rotation, factors)
    assert rotated.disentanglement < 0.5 and rotated.completeness < 0.5
    assert rotated.informativeness_continuous < scores.informativeness_continuous


def test_scores_are_reproducible():
    codes, factors = synthetic(60)
    first, again = dci(codes, factors), dci(codes, factors)
    np.testing.assert_array_equal(first.importance, again.importance)
    assert first.informativeness == again.informativeness


def test_factors_of_one_value_are_left_out(capsys):
    codes, factors = synthetic(60)
    one_class, constant = np.full(60, 2), np.full(60, 0.3)
    more = {"material": (one_class, "class"), "z": (constant, "number")}
    scores = dci(codes, factors | more)
    assert capsys.readouterr().out == "warning: DCI without material, z: only one value.\n"
    assert scores.informativeness == dci(codes, factors).informativeness
    only = {name: factors[name] for name in ("x", "y")}
    assert dci(codes, only).informativeness_discrete is None
    with pytest.raises(InputError, match="no two factors vary .* of the 60 objects"):
        dci(codes, more | {"x": factors["x"]})


def test_nothing_to_score():
    codes, factors = synthetic(60)
    with pytest.raises(InputError, match="60 matched .* codes of 1 dim"):
        dci(codes[:, :1], factors)
    with pytest.raises(InputError, match="0 matched .* codes of 4 dim"):
        dci(codes[:0], {name: (v[:0], kind) for name, (v, kind) in factors.items()})


def test_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    with pytest.raises(UserError, match=r"pip install 'ocgm\[disentanglement\]'"):
        dci(*synthetic(10))


def test_codes_are_means_where_there_are_any():
    slots, mean = np.ones((1, 2, 3)), np.zeros((1, 2, 3))
    fields = dict.fromkeys(Outputs.__dataclass_fields__)
    latent = Latent(mean, mean, slots)
    for latents, expected in (({"slots": latent}, mean), ({"masks": latent}, slots), ({}, slots)):
        outputs = Outputs(**fields | {"slots": slots, "latents": latents})
        assert dci_lib.slot_codes(outputs) is expected


# ---- kinds of factors


CODE, WHOLE = object_factor("class", 4, np.int32), object_factor("number", 4, np.int32)


def test_kinds_are_those_of_the_builder():
    palette = np.tile(np.eye(3, dtype=np.uint8), (4, 1))
    declared = {"x": WHOLE, "shape": CODE, "color": object_factor("class", 4, np.uint8, 3)}
    values = {"x": np.arange(12), "shape": np.arange(12), "color": palette}
    kinds = with_kinds(values, declared)
    assert {name: kind for name, (_, kind) in kinds.items()} == {
        "x": "number",
        "shape": "class",
        "color": "class",
    }
    assert kinds["x"][0] is values["x"]
    assert len(np.unique(kinds["color"][0])) == 3
    np.testing.assert_array_equal(kinds["color"][0][:3], kinds["color"][0][3:6])


def test_vectors_are_numbers_of_their_own():
    vectors = np.arange(36, dtype=np.float32).reshape(12, 3)
    vector = object_factor("number", 4, np.float32, 3)
    for name, axes in (("position", "xyz"), ("color", ("red", "green", "blue"))):
        numbers = with_kinds({name: vectors}, {name: vector})
        assert list(numbers) == [f"{name}_{axis}" for axis in axes]
        assert {kind for _, kind in numbers.values()} == {"number"}
        np.testing.assert_array_equal(numbers[f"{name}_{axes[2]}"][0], vectors[:, 2])


# ---- objects and slots


def boxes(*corners: tuple[int, int, int, int], side: int = 20) -> np.ndarray:
    """Label map of boxes (top, bottom, left, right), the first with label 1."""
    labels = np.zeros((side, side), np.uint8)
    for label, (top, bottom, left, right) in enumerate(corners, 1):
        labels[top:bottom, left:right] = label
    return labels


def soft_masks(labels: np.ndarray, count: int) -> np.ndarray:
    """Log-masks [count, H, W] whose largest is the one of the label."""
    return np.log(0.6 * (labels == np.arange(count)[:, None, None]) + 0.4 / count)


def test_matching_follows_the_slots():
    true = boxes((0, 10, 0, 8), (12, 20, 10, 20))
    masks = soft_masks(true, 3)
    labels, slots = match_slots(true, [1, 2], masks)
    assert (labels.tolist(), slots.tolist()) == ([1, 2], [1, 2])
    order = [2, 0, 1]
    labels, slots = match_slots(true, [1, 2], masks[order])
    assert (labels.tolist(), slots.tolist()) == ([1, 2], [2, 0])


def test_matching_maximises_the_sum():
    # Both objects overlap most with slot 0, and object 2 has nothing else.
    true = boxes((0, 10, 0, 10), (10, 20, 0, 10))
    predicted = np.ones_like(true)
    predicted[:10, :6] = predicted[10:, :10] = 0
    labels, slots = match_slots(true, [1, 2], soft_masks(predicted, 2))
    assert (labels.tolist(), slots.tolist()) == ([1, 2], [1, 0])


def test_matching_leaves_out_the_small_and_the_bad():
    true = boxes((0, 7, 0, 7), (10, 18, 0, 8))  # 49 and 64 pixels
    masks = soft_masks(true, 3)
    assert match_slots(true, [1, 2], masks)[0].tolist() == [2]
    assert match_slots(true, [1, 2], masks, min_pixels=49)[0].tolist() == [1, 2]
    one_slot = np.zeros((1, 20, 20))  # IoU 64 / 400
    assert match_slots(true, [2], one_slot)[0].tolist() == [2]
    assert match_slots(true, [2], one_slot, min_iou=0.2)[0].tolist() == []
    assert match_slots(true, [], masks)[1].tolist() == []
    # A hidden object has no pixels.
    assert match_slots(true, [1, 2, 3], masks, min_pixels=0)[0].tolist() == [1, 2]


def test_more_objects_than_slots():
    true = boxes((0, 8, 0, 8), (0, 8, 10, 18), (10, 20, 0, 10))
    labels, slots = match_slots(true, [1, 2, 3], soft_masks(np.minimum(true, 1), 2))
    # Slot 1 holds all three, slot 0 none of them.
    assert (labels.tolist(), slots.tolist()) == ([3], [1])


def test_matching_checks_shapes():
    with pytest.raises(AssertionError):
        match_slots(np.zeros((20, 20)), [1], np.zeros((3, 20, 21)))


def test_objects_of_a_batch():
    true = np.stack([boxes((0, 10, 0, 10), (10, 20, 0, 10))] * 3)
    batch = {
        "masks": true,
        "num_objects": np.array([2, 1, 2]),
        "valid": np.array([True, True, False]),
        "factors": {
            "shape": np.arange(12).reshape(3, 4),
            "color": np.arange(36).reshape(3, 4, 3),
            "visibility": np.ones((3, 4)),
            "background_color": np.zeros((3, 3)),
            "texture": {"color": np.zeros((3, 5, 3, 3))},
        },
    }
    declared = {
        "shape": CODE,
        "color": object_factor("class", 4, np.uint8, 3),
        "visibility": object_factor("class", 4, np.float32, scored=False),
        "background_color": scene_factor("class", np.uint8, 3),
        "texture": scene_factor("number", np.float32),
    }
    order = [2, 1, 0]  # label 1 is slot 1, label 2 is slot 0
    log_masks = np.stack([soft_masks(labels, 3)[order] for labels in true])[..., None]
    codes = np.arange(9).reshape(3, 3, 1)
    found, factors = match_objects(batch, codes, log_masks, declared)
    assert found.tolist() == [[1], [0], [4]]
    assert factors.keys() == {"shape", "color"}
    assert factors["shape"].tolist() == [0, 1, 4]
    assert factors["color"][2].tolist() == [12, 13, 14]
    batch["valid"][:] = False
    found, factors = match_objects(batch, codes, log_masks, declared)
    assert found.shape == (0, 1) and factors["color"].shape == (0, 3)
