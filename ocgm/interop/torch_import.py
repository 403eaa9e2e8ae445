"""PyTorch state dicts of the authors -> variables of our models."""

import flax.linen as nn
import flax.traverse_util
import jax
import numpy as np
from jax.typing import DTypeLike

from ocgm.errors import CheckpointError
from ocgm.interop import torch_names


def abstract_variables(model: nn.Module) -> dict:
    """Shapes and dtypes of all variables of a model, without computing or allocating anything."""
    images = jax.ShapeDtypeStruct((1, model.image_size, model.image_size, 3), np.float32)
    keys = {name: jax.random.key(0) for name in ("params", "latent", "seed_scores")}
    return jax.eval_shape(lambda images: model.init(keys, images, train=True), images)


def torch_shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Shape of every PyTorch parameter that the model imports, by official name."""
    leaves = _flat(abstract_variables(model))
    return {
        entry.torch_name: entry.torch_shape(_shape(entry, leaves))
        for entry in model.torch_entries()
    }


def to_variables(
    model: nn.Module, state_dict: dict[str, np.ndarray], dtype: DTypeLike = np.float32
) -> dict:
    """Variables of `model` from a PyTorch state dict.

    Raises:
      CheckpointError: entries are missing, left over or misshapen; the message lists all of them.
    """
    leaves = _flat(abstract_variables(model))
    entries = model.torch_entries()
    state_dict = torch_names.of_current_layout(state_dict)
    problems, imported = [], {}
    for entry in entries:
        if entry.torch_name not in state_dict:
            problems.append(f"missing: {entry.torch_name}")
            continue
        array = np.asarray(state_dict[entry.torch_name])
        key = _key(entry)
        expected = entry.torch_shape(_shape(entry, leaves))
        if array.shape != expected:
            problems.append(f"misshapen: {entry.torch_name} is {array.shape}, expected {expected}")
            continue
        imported[key] = np.array(entry.transform(array), dtype)
    known = {entry.torch_name for entry in entries}
    problems += [
        f"not expected: {name}"
        for name in state_dict
        if name not in known and not torch_names.IGNORED.search(name)
    ]
    if problems:
        raise CheckpointError(
            f"The checkpoint does not fit the model ({len(problems)} problems):\n  "
            + "\n  ".join(problems)
        )
    return flax.traverse_util.unflatten_dict(imported, sep="/")


def _flat(variables: dict) -> dict:
    return flax.traverse_util.flatten_dict(variables, sep="/")


def _shape(entry: torch_names.Entry, leaves: dict) -> tuple[int, ...]:
    """Return the shape of our variable; the loss's weights are scalars that no model initialises."""
    return () if entry.collection == "loss_weights" else leaves[_key(entry)].shape


def _key(entry: torch_names.Entry) -> str:
    return f"{entry.collection}/{entry.path}"
