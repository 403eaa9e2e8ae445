"""The estimate of a step's memory: its size, its extrapolation over slots, and when it is printed."""

import jax
import pytest
import tiny_models

from ocgm import sharding
from ocgm.errors import ConfigError
from ocgm.training import memory


@pytest.fixture
def config(tiny_config):
    return tiny_models.experiment(tiny_config, "slot_mlp")


def test_all_activations_are_counted(config):
    """Two decoders' layers of eight channels for each slot, and no more than 50 arrays of that size."""
    side, slots, channels = 32, 3, 8
    layer = 4 * slots * channels * side**2
    assert layer < memory.bytes_per_image(config.model) < 50 * layer


def test_many_slots_are_extrapolated(config, monkeypatch):
    config.model.num_slots = 12
    extrapolated = memory.bytes_per_image(config.model)
    monkeypatch.setattr(memory, "_MOST_SLOTS_TRACED", 12)
    assert extrapolated == pytest.approx(memory.bytes_per_image(config.model), rel=0.01)


@pytest.mark.parametrize(
    "changes,parts",
    [
        ({"batch_size": 100_000}, ("50,000 images on each device", "lower config.batch_size or")),
        ({"model.num_slots": 400_000}, ("1 images on each device", "or config.model.num_slots")),
    ],
)
def test_a_word_before_the_memory_is_exhausted(config, capsys, monkeypatch, changes, parts):
    monkeypatch.setattr(memory, "_bytes_of_a_device", lambda: 8 * 2**30)
    memory.warn(config, sharding.make_mesh())
    assert not capsys.readouterr().out
    config.update_from_flattened_dict(changes)
    memory.warn(config, sharding.make_mesh())
    line = capsys.readouterr().out
    assert line.startswith("warning: a step needs about ") and "which has 8 GiB" in line
    assert all(part in line for part in parts), line


def test_exhaustion(config):
    def fail(message):
        with memory.exhaustion_explained(config):
            raise jax.errors.JaxRuntimeError(message)

    with pytest.raises(ConfigError, match="config.batch_size=2: lower it"):
        fail("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 1 bytes")
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
        fail("INTERNAL: something else")
