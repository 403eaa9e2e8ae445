"""Means over images, and images without a score."""

import json

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest

from ocgm import sharding
from ocgm.commands import cli
from ocgm.evaluation.evaluator import Evaluator
from ocgm.models.base import Outputs

SIDE = 8


class HalvesOrNaN(nn.Module):
    """Segments into left and right half; black images get masks that are NaN, white ones an infinite error."""

    image_size: int = SIDE

    def __call__(self, images, *, train, deterministic=False):
        left = jnp.broadcast_to(jnp.arange(SIDE) < SIDE // 2, (SIDE, SIDE))
        halves = jnp.log(jnp.stack([jnp.where(left, 0.9, 0.1), jnp.where(left, 0.1, 0.9)]))
        black, white = (jnp.all(images == value, axis=(1, 2, 3)) for value in (0, 1))
        log_masks = jnp.broadcast_to(halves[None, :, :, :, None], (len(images), 2, SIDE, SIDE, 1))
        log_masks = jnp.where(black[:, None, None, None, None], jnp.nan, log_masks)
        return Outputs(
            reconstruction=images,
            components=jnp.stack([images, images], axis=1),
            log_masks=log_masks,
            slots=jnp.zeros((len(images), 2, 1)),
            active_slots=jnp.ones((len(images), 2), bool),
            reconstruction_error=jnp.where(white, jnp.inf, 1.0),
            kl={},
            latents={},
        )


def batches(*values: int):
    """Batches of 4 images of one colour each, filled up with copies of the first image that are not valid."""
    images = np.array(values + values[:1] * (-len(values) % 4), np.uint8)
    images = np.broadcast_to(images[:, None, None, None], (len(images), SIDE, SIDE, 3))
    masks = np.broadcast_to(1 + (np.arange(SIDE) >= SIDE // 2), (len(images), SIDE, SIDE))
    valid = np.arange(len(images)) < len(values)
    for i in range(0, len(images), 4):
        rows = slice(i, i + 4)
        yield {
            "image": images[rows],
            "masks": masks[rows].astype(np.uint8),
            "valid": valid[rows],
        }


@pytest.fixture(scope="module")
def evaluator() -> Evaluator:
    return Evaluator(HalvesOrNaN(), "multi_dsprites", sharding.make_mesh(), num_figure_images=1)


def test_all_images_have_scores(evaluator, capsys):
    scores, _, _ = evaluator.run({}, batches(9, 8, 7, 6, 5))
    assert scores["ari_fg"] == scores["msc_fg"] == 1.0 and "nan_images" not in scores
    assert capsys.readouterr().out == ""


def test_nan_is_never_a_score(evaluator, capsys):
    """The first image is black, and so are the copies that fill up the last batch, which do not count."""
    scores, _, _ = evaluator.run({}, batches(0, 8, 7, 6, 5))
    for name in ("ari", "ari_fg", "sc", "msc", "sc_fg", "msc_fg"):
        assert np.isnan(scores[name]), name
    assert scores["mean_squared_error"] == 0.0
    assert scores["nan_images"] == 1
    assert capsys.readouterr().out == (
        "warning: 1 of 5 images have a metric that is NaN or infinite.\n"
    )
    scores, _, _ = evaluator.run({}, batches(7, 255, 0))
    assert scores["reconstruction_error"] == np.inf and scores["nan_images"] == 2


def test_json_has_null_for_what_is_no_number(tmp_path):
    record = {
        "ari_fg": float("nan"),
        "kl": float("-inf"),
        "dci": {"importance": [[0.5, float("nan")]], "names": ("a", "b"), "none": None},
        "step": 3,
    }
    cli.save_json(tmp_path / "evaluation.json", record)

    def refuse(name):
        raise AssertionError(name)

    text = (tmp_path / "evaluation.json").read_text()
    assert json.loads(text, parse_constant=refuse) == {
        "ari_fg": None,
        "kl": None,
        "dci": {"importance": [[0.5, None]], "names": ["a", "b"], "none": None},
        "step": 3,
    }
