"""DCI scores of codes that belong to objects: disentanglement, completeness, informativeness.

Every object of an image is matched to the slot that segments it; all (code, factors) pairs of a data set are then
scored like those of a model of single objects. `docs/disentanglement.md` says how to read the scores and where the
authors' released code differs from the published ones.

Sources: Emami et al., "Efficient iterative amortized inference for learning symmetric and disentangled multi-object
representations" (ICML 2021), section on disentanglement, for the matching; Eastwood and Williams, "A framework for the
quantitative evaluation of disentangled representations" (ICLR 2018), for the scores.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import chex
import jax
import numpy as np

from ocgm.errors import InputError, UserError
from ocgm.models.base import Outputs

if TYPE_CHECKING:  # With TFDS, which takes a second.
    from ocgm.datasets.builders.base import Factor

# Values [N] and kind, "class" or "number", by name.
Factors = dict[str, tuple[np.ndarray, str]]

# Keeps the logarithm of an importance of 0 finite; the published scores have it.
_TINY = 1e-11

_COLOR_AXES = {"rgb": ("red", "green", "blue"), "hsv": ("hue", "saturation", "value")}


def slot_codes(outputs: Outputs) -> jax.Array:
    """Return the codes [B, K, D] of slots: means of their posterior, or the slots where it is in parts or none.

    GENESIS has a posterior of masks and one of components, Slot Attention has none.
    """
    slots = outputs.latents.get("slots")
    return outputs.slots if slots is None else slots.mean


# ---- objects and slots


def match_slots(
    true_labels: np.ndarray,
    objects: Sequence[int],
    masks: np.ndarray,
    min_pixels: int = 50,
    min_iou: float = 0.1,
) -> tuple[np.ndarray, np.ndarray]:
    """Assign slots to objects so that the sum of their IoU is as large as it can be (Hungarian algorithm).

    A pixel belongs to the slot with its largest mask. With fewer slots than objects some objects get none.

    Args:
      true_labels: integers [H, W].
      objects: labels of the objects to match, without the background.
      masks: probabilities, logits or logarithms, [K, H, W].
      min_pixels: objects with fewer true pixels are left out.
      min_iou: pairs with a smaller IoU are dropped.

    Returns:
      Labels of the matched objects and the slot of each, both int [M].
    """
    from scipy.optimize import linear_sum_assignment

    chex.assert_rank([true_labels, masks], [2, 3])
    chex.assert_equal_shape([true_labels, masks[0]])
    labels = np.asarray(objects, int)
    of_object = true_labels == labels[:, None, None]
    large = of_object.sum((1, 2)) >= min_pixels
    labels, of_object = labels[large], of_object[large]
    of_slot = np.argmax(masks, axis=0) == np.arange(len(masks))[:, None, None]
    shared = np.einsum("ohw,khw->ok", of_object, of_slot, dtype=int)
    areas = of_object.sum((1, 2))[:, None] + of_slot.sum((1, 2))
    iou = shared / np.maximum(areas - shared, 1)
    rows, slots = linear_sum_assignment(iou, maximize=True)
    good = iou[rows, slots] >= min_iou
    return labels[rows[good]], slots[good]


def match_objects(
    batch: Mapping[str, Any],
    codes: np.ndarray,
    log_masks: np.ndarray,
    factors: Mapping[str, "Factor"],
    min_pixels: int = 50,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return codes and factors of the objects that a slot is matched to, in all valid images of a batch.

    Args:
      batch: `masks` [B, H, W], `num_objects` [B], `valid` [B] and `factors`, whose row i - 1 is the object of label i.
      codes: [B, K, D].
      log_masks: [B, K, H, W, 1].
      factors: the dataset's, as its builder declares them.
      min_pixels: see `match_slots`.

    Returns:
      Codes [M, D]; values [M, ...] of each factor of objects that is to be scored.
    """
    chex.assert_equal_shape_prefix([codes, log_masks], 2)
    matched: list[tuple[np.integer, ...]] = []
    for i in np.flatnonzero(batch["valid"]):
        objects = range(1, batch["num_objects"][i] + 1)
        labels, slots = match_slots(batch["masks"][i], objects, log_masks[i, ..., 0], min_pixels)
        matched += [(i, label - 1, slot) for label, slot in zip(labels, slots, strict=True)]
    # An empty list alone gives neither this dtype nor this shape.
    image, row, slot = np.array(matched, int).reshape(-1, 3).T
    scored = {name for name, factor in factors.items() if factor.of == "object" and factor.scored}
    values = {name: v[image, row] for name, v in batch["factors"].items() if name in scored}
    return codes[image, slot], values


def with_kinds(values: Mapping[str, np.ndarray], factors: Mapping[str, "Factor"]) -> Factors:
    """Pair values with their kinds, and turn vectors into numbers.

    Args:
      values: [N], or colours or vectors [N, 3], by name.
      factors: the dataset's, as its builder declares them.

    Returns:
      name -> (values [N], "class" or "number"). A vector of numbers becomes three factors, such as `position_x` or
      `color_red`; different colours of the kind "class" become different integers.
    """
    result: Factors = {}
    for name, of_objects in values.items():
        kind = factors[name].kind
        if of_objects.ndim == 1:
            result[name] = (of_objects, kind)
        elif kind == "class":
            result[name] = (np.unique(of_objects, axis=0, return_inverse=True)[1], kind)
        else:
            axes = _COLOR_AXES[factors[name].space] if name == "color" else ("x", "y", "z")
            for axis, along in zip(axes, of_objects.T, strict=True):
                result[f"{name}_{axis}"] = (along.astype(np.float64), kind)
    return result


# ---- scores


@dataclasses.dataclass(frozen=True)
class Scores:
    """DCI scores.

    Attributes:
      disentanglement: 1 if every code dimension matters for one factor only, 0 if each matters for all alike.
      completeness: 1 if every factor rests on one code dimension only, 0 if each rests on all alike.
      informativeness: by factor, on the held-out half: accuracy of classes, R^2 of numbers (at most 1).
      informativeness_discrete, informativeness_continuous: means of the two kinds; None where there is no such factor.
      informativeness_released: mean over all factors of how often prediction and truth are the same number, as the
        authors' released code takes it. For a continuous factor that is 0, so this is the number to hold against the
        paper's table, and no measure of how informative codes are.
      importance: [D, number of factors]; columns in the order of `informativeness`.
    """

    disentanglement: float
    completeness: float
    informativeness: dict[str, float]
    informativeness_discrete: float | None
    informativeness_continuous: float | None
    informativeness_released: float
    importance: np.ndarray


def dci(codes: np.ndarray, factors: Factors, seed: int = 5) -> Scores:
    """Score codes by gradient-boosted trees that predict the factors, one model per factor, on half of the objects.

    The trees have scikit-learn's default settings, as in the paper. The authors' released code differs in two ways from
    what the published numbers need. It keeps the *name* of the kind of model and the model itself in one variable, so
    that from the second factor on every factor is fitted by the regressor of the first, discrete ones too. And it takes
    the share of predictions that equal the truth for all factors, which is 0 for a regressor. Here each factor has a
    model of its kind, and continuous factors have R^2.

    Args:
      codes: [N, D].
      factors: values [N] and kind of each; those with only one value in either half are left out with a warning.
      seed: of the split and of the trees; 5 is the paper's split.

    Raises:
      InputError: fewer than two code dimensions, or fewer than two factors that vary.
      UserError: scikit-learn is not installed.
    """
    try:
        from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor
        from sklearn.model_selection import train_test_split
    except ImportError as error:
        raise UserError(
            f"scikit-learn is needed ({error}); install it with pip install 'ocgm[disentanglement]'."
        ) from error

    chex.assert_rank(codes, 2)
    chex.assert_equal_shape_prefix([codes, *(values for values, _ in factors.values())], 1)
    if codes.shape[1] < 2 or len(codes) < 2:
        raise InputError(
            f"{codes.shape[0]} matched object(s) with codes of {codes.shape[1]} dimension(s); at least 2 of both"
            " are needed."
        )
    train, test = train_test_split(np.arange(len(codes)), test_size=0.5, random_state=seed)
    varying = {
        name: (values, kind)
        for name, (values, kind) in factors.items()
        if all(len(np.unique(values[half])) > 1 for half in (train, test))
    }
    if constant := sorted(factors.keys() - varying.keys()):
        print(f"warning: DCI without {', '.join(constant)}: only one value.", flush=True)
    if len(varying) < 2:
        raise InputError(f"no two factors vary among both halves of the {len(codes)} objects.")

    importances, equal = [], []
    informativeness: dict[str, float] = {}
    for name, (values, kind) in varying.items():
        trees = GradientBoostingClassifier if kind == "class" else GradientBoostingRegressor
        model = trees(random_state=seed).fit(codes[train], values[train])
        importances.append(np.abs(model.feature_importances_))
        informativeness[name] = float(model.score(codes[test], values[test]))
        equal.append(np.mean(model.predict(codes[test]) == values[test]))
    importance = np.stack(importances, axis=1)

    def mean_of(kind: str) -> float | None:
        scores = [informativeness[name] for name, (_, own) in varying.items() if own == kind]
        return float(np.mean(scores)) if scores else None

    return Scores(
        disentanglement=disentanglement(importance),
        completeness=completeness(importance),
        informativeness=informativeness,
        informativeness_discrete=mean_of("class"),
        informativeness_continuous=mean_of("number"),
        informativeness_released=float(np.mean(equal)),
        importance=importance,
    )


def disentanglement(importance: np.ndarray) -> float:
    """Return how far each code dimension matters for one factor only, from importances [D, number of factors]."""
    return _concentration(importance, axis=1)


def completeness(importance: np.ndarray) -> float:
    """Return how far each factor rests on one code dimension only, from importances [D, number of factors]."""
    return _concentration(importance, axis=0)


def _concentration(importance: np.ndarray, axis: int) -> float:
    """Return 1 - entropy along an axis, in units of its maximum, averaged with the sums along the axis as weights."""
    shares = importance + _TINY
    shares = shares / shares.sum(axis, keepdims=True)
    concentration = 1 + (shares * np.log(shares)).sum(axis) / np.log(importance.shape[axis])
    weights = importance.sum(axis)
    return float(np.average(concentration, weights=weights if weights.any() else None))
