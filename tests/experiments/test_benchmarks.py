"""The training-step benchmark: every part of every model has a forward and a backward pass."""

import jax
import pytest
import tiny_models
from ml_collections import ConfigDict

from experiments.model_parts import parts_of
from ocgm import models


@pytest.mark.parametrize("name", tiny_models.MODELS)
def test_model_parts(name):
    """Parts are traced, not run."""
    model = models.build(ConfigDict({"image_size": 32, **tiny_models.MODELS[name]}))
    variables = models.abstract_variables(model)
    images = jax.ShapeDtypeStruct((2, 32, 32, 3), "float32")

    def gradients(variables, images):
        parts = parts_of(model, variables, images)
        return {part: gradient() for part, gradient in parts.items()}

    traced = jax.eval_shape(gradients, variables, images)
    assert bool(traced) == (not name.endswith("_vae"))
    assert all(jax.tree.leaves(gradient) for gradient in traced.values())
