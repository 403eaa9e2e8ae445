"""What an import costs."""

import pytest
from helpers import finish, start

PROGRAM = """
import sys
import {modules}
heavy = {{"tensorflow", "tensorflow_datasets", "tensorboard", "torch"}} & set(sys.modules)
assert not heavy, heavy
if "jax" in sys.modules:
    from jax._src import xla_bridge
    assert not xla_bridge.backends_are_initialized(), "a JAX backend was started"
"""


@pytest.mark.parametrize(
    "modules",
    [
        "ocgm, ocgm.models, ocgm.losses, ocgm.evaluation.segmentation, ocgm.training.objectives, ocgm.inference",
        "ocgm.commands.describe, ocgm.experiment",
    ],
)
def test_import_is_light(modules):
    done = finish(start("-c", PROGRAM.format(modules=modules)))
    assert done.status == 0, done.err
