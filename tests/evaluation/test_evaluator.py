"""What evaluation keeps for figures."""

import jax.numpy as jnp
import numpy as np
import pytest

from ocgm import sharding
from ocgm.evaluation.evaluator import Evaluator


@pytest.mark.parametrize("num_valid", [1, 3, 4])
def test_figures_have_no_padding(num_valid):
    """The last images of a batch may be copies that only fill it up."""
    evaluator = object.__new__(Evaluator)
    evaluator._mesh, evaluator._num_labels = sharding.make_mesh(), 2

    def step(variables, batch, key):
        sums = {"count": jnp.sum(batch["valid"]), "error": jnp.sum(batch["valid"] * 0.5)}
        sums["nan_images"] = jnp.int32(0)
        return sums, {"image": batch["image"]}, {"reconstruction": batch["image"] + 1}

    evaluator._step = step
    images = np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1)
    batch = {"image": images, "valid": np.arange(4) < num_valid}
    scores, first, outputs = evaluator.run({}, [batch, batch])
    assert scores["error"] == 0.5
    np.testing.assert_array_equal(first["image"], images[:num_valid])
    np.testing.assert_array_equal(outputs["reconstruction"], images[:num_valid] + 1)
