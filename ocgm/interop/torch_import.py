"""Conversion of PyTorch state dicts (or TensorFlow variables) of the authors to variables of our models."""

import re

import flax.traverse_util
import numpy as np
from jax.typing import DTypeLike

from ocgm import interop, models
from ocgm.errors import CheckpointError
from ocgm.interop.entries import Entry
from ocgm.models.base import Model

# Entries of the authors' files that no model needs: constants (standard deviations, pixel coordinates of an older
# layout), a counter of batches and a moving average.
_IGNORED = re.compile(r"(^|\.)(std|num_batches_tracked|pixel_coords\.g_[12]|geco_C_ema)$")
_ROOT_IN_OLD_LAYOUT, _ROOT = "object_discovery_block.", "hvae_networks."


def torch_shapes(model: Model) -> dict[str, tuple[int, ...]]:
    """Return the shape of every parameter that the model imports, by official name.

    Raises:
      ConfigError: no names of published parameters are known for the model.
    """
    return {entry.torch_name: shape for entry, shape in _entries_and_shapes(model)}


def to_variables(
    model: Model, state_dict: dict[str, np.ndarray], dtype: DTypeLike = np.float32
) -> dict:
    """Convert a state dict to variables of `model`.

    Args:
      model: the model.
      state_dict: arrays by official name.
      dtype: dtype of the variables.

    Returns:
      Variables by collection; those of EfficientMORL hold `loss_weights/error_weight` besides.

    Raises:
      ConfigError: no names of published parameters are known for the model.
      CheckpointError: entries are missing, left over, misshapen or not finite; the message lists all of them.
    """
    state_dict = _of_current_layout(state_dict)
    problems, imported, known = [], {}, set()
    for entry, expected in _entries_and_shapes(model):
        known.add(entry.torch_name)
        if entry.torch_name not in state_dict:
            problems.append(f"missing: {entry.torch_name}")
            continue
        array = np.asarray(state_dict[entry.torch_name])
        if array.shape != expected:
            problems.append(f"misshapen: {entry.torch_name} is {array.shape}, expected {expected}")
            continue
        if not np.isfinite(array).all():
            problems.append(f"NaN or infinite: {entry.torch_name}")
        imported[entry.key] = np.array(entry.transform(array), dtype)
    problems += [
        f"not expected: {name}"
        for name in state_dict
        if name not in known and not _IGNORED.search(name)
    ]
    if problems:
        raise CheckpointError(
            f"The checkpoint does not fit the model ({len(problems)} problem(s)):\n  "
            + "\n  ".join(problems)
        )
    return flax.traverse_util.unflatten_dict(imported, sep="/")


def _entries_and_shapes(model: Model) -> list[tuple[Entry, tuple[int, ...]]]:
    """Return the entries and the shapes of the authors' parameters."""
    leaves = flax.traverse_util.flatten_dict(models.abstract_variables(model), sep="/")
    shapes = {key: leaf.shape for key, leaf in leaves.items()}
    shapes["loss_weights/error_weight"] = ()  # The train state's, not the model's.
    return [(entry, entry.torch_shape(shapes[entry.key])) for entry in interop.entries_of(model)]


def _of_current_layout(state_dict: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Rename the entries of EfficientMORL's older layout to those of its present one; keep others."""
    if not any(name.startswith(_ROOT_IN_OLD_LAYOUT) for name in state_dict):
        return state_dict
    renamed = {}
    for name, array in state_dict.items():
        if "generation_relation" in name or name.endswith((".cell.zeros", ".cell.zeros_n")):
            continue
        if name.startswith(("pos_embed_projection.", "encoder_pt_")):
            name = _ROOT + name
        renamed[name.replace(_ROOT_IN_OLD_LAYOUT, _ROOT, 1)] = array
    return renamed
