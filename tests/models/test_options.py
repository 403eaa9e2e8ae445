"""Values of the options of a model's call."""

import numpy as np
import pytest
from tiny_models import fresh

from ocgm import models
from ocgm.errors import InputError


@pytest.mark.parametrize(
    "name,options",
    [
        ("genesis_v2", {"num_slots": np.int64(4), "dynamic_slots": True, "mask_loss": None}),
        ("efficient_morl", {"refinement_steps": 0, "num_slots": 0}),
        ("slot_attention", {"iterations": None, "deterministic": False}),
    ],
)
def test_right_options(name, options):
    models.check_options(fresh(name).model, options)


@pytest.mark.parametrize(
    "name,options,message",
    [
        ("genesis_v2", {"num_slots": 2.5}, "num_slots=2.5 of genesis_v2 must be a whole number"),
        ("genesis_v2", {"num_slots": True}, "num_slots=True of genesis_v2 must be a whole number"),
        ("genesis_v2", {"dynamic_slots": 7}, "dynamic_slots=7 of genesis_v2 must be True or False"),
        ("iodine", {"refinement_steps": -1}, "refinement_steps=-1 of iodine must not be negative"),
        ("iodine", {"refinment_steps": 1}, "did you mean refinement_steps?"),
        ("monet", {"deterministic": "yes"}, "deterministic='yes' of monet must be True or False"),
    ],
)
def test_wrong_options(name, options, message):
    with pytest.raises(InputError) as error:
        models.check_options(fresh(name).model, options)
    assert message in str(error.value)
