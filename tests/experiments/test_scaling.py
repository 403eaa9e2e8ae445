"""The table of scaling: its formulas, and the bytes it counts against those of the compiled program."""

import math
import re

import jax
import jax.numpy as jnp
import pytest

from experiments import scaling
from experiments.scaling import Chip, Step
from ocgm import sharding
from ocgm.training.step import abstract_state, make_train_step

CHIP = Chip(flops=1e12, bandwidth=1e9, latency=1e-6)
STEP = Step(gradient_bytes=8_000_000, flops_per_image=3e9)


def test_all_reduce():
    """Each of four chips sends three quarters of the gradients twice."""
    assert STEP.all_reduce_seconds(4, CHIP) == pytest.approx(2 * 6e-3 + 4e-6)
    assert STEP.all_reduce_seconds(1, CHIP) == 0.0


@pytest.mark.parametrize("chips", [2, 8, 256])
def test_the_least_batch_is_the_first_that_is_efficient(chips):
    images = STEP.least_images(chips, CHIP)
    assert STEP.efficiency(images, chips, CHIP) >= 0.9
    assert STEP.efficiency(images - 1, chips, CHIP) < 0.9


def test_one_image_may_be_enough():
    assert Step(4, 1e12).least_images(8, CHIP) == 1


@pytest.mark.compiles
def test_counted_bytes_are_those_of_the_compiled_step(tiny_config):
    """Gradients, and beside them little more than scalars: metrics and norms."""
    config, mesh = tiny_config(), sharding.make_mesh()
    step = scaling.step_of(config)
    assert 1e7 < step.flops_per_image < 1e9
    batch = {"image": jax.ShapeDtypeStruct((8, 32, 32, 3), jnp.uint8)}
    compiled = make_train_step(config, mesh).lower(abstract_state(config, mesh), batch, ())
    program = compiled.compile().as_text()
    reduced = 0
    for shapes in re.findall(r"= (.*) all-reduce\(", program):
        for dtype, shape in re.findall(r"(\w+)\[([\d,]*)\]", shapes):
            assert dtype == "f32"
            reduced += 4 * math.prod(map(int, filter(None, shape.split(","))))
    # XLA adds up some gradients in a smaller form, before the last operation.
    assert reduced == pytest.approx(step.gradient_bytes, rel=0.1)
