"""Latents: decoding them alone, activeness and traversals of a decoder that can be worked out, and the command."""

import functools
import json

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import command, finish, start
from PIL import Image
from tiny_models import experiment, fresh

from ocgm import inference, models
from ocgm.data import eval_batches, prepare, registry
from ocgm.errors import InputError
from ocgm.evaluation import activeness, latent_report
from ocgm.inference import TrainedModel
from ocgm.models import abstract_variables, calls
from ocgm.models.base import Sample
from ocgm.training import step

# ---- records


@pytest.mark.parametrize("side", [64, 32])
def test_labels_are_rows_of_factors(tiny_config, side):
    data = tiny_config(data__image_size=side).data
    (batch,) = eval_batches(data, "test", 8, 8, extra_fields=("factors", "no_such_field"))
    assert batch.keys() == {"image", "masks", "num_objects", "factors", "valid"}
    factors = batch["factors"]
    assert factors["color"].shape == (8, 4, 3) and factors["shape"].dtype == np.int32
    colors = np.concatenate([factors["background_color"][:, None], factors["color"]], axis=1)
    expected = np.take_along_axis(colors, batch["masks"].reshape(8, -1, 1), axis=1)
    np.testing.assert_array_equal(batch["image"].reshape(8, -1, 3), expected)


def test_labels_are_rows_of_factors_in_tetrominoes(tmp_path):
    data = registry.default_config("tetrominoes_synthetic")
    data.update(data_dir=str(tmp_path), num_examples=(1, 1, 4))
    prepare(data)
    (batch,) = eval_batches(data, "test", 4, extra_fields=("factors",))
    for i, row in np.ndindex(4, 3):
        of_piece = batch["masks"][i] == row + 1
        lit = batch["image"][i][of_piece].max(axis=0) > 0
        np.testing.assert_array_equal(lit, batch["factors"]["color"][i, row] > 0)
        top, left = (np.flatnonzero(of_piece.any(axis=axis))[0] for axis in (1, 0))
        corner = (batch["factors"]["x"][i, row], batch["factors"]["y"][i, row])
        assert corner == (top, left)


# ---- models


@pytest.mark.compiles
@pytest.mark.parametrize("name", ["genesis", "genesis_s", "one_slot_sbd_vae", "bd_vae"])
def test_slots_decode_to_what_the_call_returns(name):
    model, random = fresh(name).model, np.random.default_rng(0)
    variables = jax.tree.map(
        lambda leaf: random.uniform(-0.1, 0.1, leaf.shape).astype(np.float32),
        abstract_variables(model),
    )
    if "batch_stats" in variables:  # No variance is negative.
        variables["batch_stats"] = jax.tree.map(np.abs, variables["batch_stats"])

    # Compiling takes longer than running.
    @functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    def outputs_and_scene(variables, images):
        keys = step.stream_keys(jax.random.key(0))
        outputs = model.apply(variables, images, train=False, rngs=keys)
        return outputs, model.apply(variables, outputs.slots, method="decode_slots")

    images = random.random((2, 32, 32, 3), np.float32)
    outputs, scene = outputs_and_scene(variables, images)
    assert np.std(outputs.reconstruction) > 1e-3
    np.testing.assert_allclose(scene.images, outputs.reconstruction, atol=1e-5)
    np.testing.assert_allclose(scene.components, outputs.components, atol=1e-5)
    np.testing.assert_allclose(scene.log_masks, outputs.log_masks, atol=1e-4)


def test_slots_of_genesis_v2_decode_to_the_decoded_masks(trained):
    outputs = trained(np.zeros((2, 32, 32, 3), np.uint8))
    scene = calls.decode_slots(trained.model, trained.variables, outputs.slots)
    np.testing.assert_allclose(scene.images, outputs.reconstruction, atol=1e-5)
    np.testing.assert_allclose(scene.log_masks, outputs.log_masks_decoded, atol=1e-4)
    masks = activeness.masks_of_codes(trained.model, trained.variables, outputs)
    assert masks is outputs.log_masks_attention


def test_monet_cannot_decode_latents_alone():
    monet = fresh("monet")
    with pytest.raises(InputError, match="monet: the latents alone do not determine a scene"):
        jax.eval_shape(
            lambda: calls.decode_slots(monet.model, monet.variables, jnp.zeros((1, 3, 4)))
        )


# ---- activeness

_WEIGHTS = np.array([0.0, 1.0, -2.0], np.float32)


class Linear(nn.Module):
    """Grey pictures as bright as the weighted sum of all latents, with a component a slot."""

    def decode_slots(self, slots: jax.Array) -> Sample:
        brightness = jnp.einsum("bkd,d->bk", slots, _WEIGHTS)
        components = jnp.broadcast_to(
            brightness[..., None, None, None], (*brightness.shape, 2, 2, 3)
        )
        log_masks = jnp.zeros_like(components[..., :1])
        return Sample(jnp.sum(components, axis=1), components, log_masks)


def test_ranges_are_over_images_and_slots():
    slots = np.array([[[0, 5], [1, 4]], [[-2, 4.5], [0, 7]]])
    np.testing.assert_array_equal(activeness.latent_ranges(slots), [[-2, 4], [1, 7]])


@pytest.mark.parametrize("batch_size", [1, 13, 1000])
def test_activeness_of_a_linear_decoder(batch_size):
    slots = np.random.default_rng(0).normal(size=(5, 2, 3)).astype(np.float32)
    ranges = np.array([[-1, -2, 0.5], [1, 2, 1]], np.float32)
    chosen = np.array([0, 1, 1, 0, 1])
    result = activeness.activeness(Linear(), {}, slots, chosen, ranges, batch_size)
    values = np.linspace(*ranges, 6)
    expected = np.var(values * _WEIGHTS, axis=0, ddof=1)
    np.testing.assert_allclose(result, np.stack([expected] * 5), rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("batch_size", [4, 17])
def test_traversal_of_a_linear_decoder(batch_size):
    slots = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    ranges = np.array([[-1, -2, 0], [1, 2, 7]], np.float32)
    pictures = activeness.traverse(Linear(), {}, slots, 1, np.array([2, 0, 1]), ranges, batch_size)
    assert pictures.shape == (3, 8, 2, 2, 3)
    others = (slots @ _WEIGHTS).sum() - slots[1] * _WEIGHTS
    np.testing.assert_allclose(pictures[0, :, 0, 0, 0], others[2] - 2 * np.arange(8), rtol=1e-5)
    np.testing.assert_allclose(pictures[1], np.full_like(pictures[1], others[0]), rtol=1e-5)
    np.testing.assert_allclose(pictures[2, [0, -1], 1, 1, 2], others[1] + [-2, 2], rtol=1e-5)


def test_random_slots():
    drawn = activeness.random_slots(200, 3, seed=0)
    assert set(drawn.tolist()) == {0, 1, 2}
    np.testing.assert_array_equal(drawn, activeness.random_slots(200, 3, seed=0))
    assert (drawn != activeness.random_slots(200, 3, seed=1)).any()


# ---- the command

_FEW = ("--num_images=3", "--dci_images=12", "--batch_size=8", "--min_pixels=8")


def lines_of(out: str, start: str) -> list[str]:
    return [line for line in out.splitlines() if line.startswith(start)]


@pytest.mark.compiles
def test_latents_as_a_process(reference_run, tmp_path):
    arguments = (f"--workdir={reference_run}", f"--output={tmp_path}", *_FEW)
    done = finish(start("-m", "ocgm", "latents", *arguments, "--traverse=2,3"))
    assert done.status == 0, done.err
    assert done.out.startswith("step 20, test images of multi_dsprites\n  z[")
    record = json.loads((tmp_path / "latents.json").read_text())
    assert (record["step"], record["split"], record["num_images"]) == (20, "test", 3)
    dimensions = record["dimensions"]
    assert [entry["dimension"] for entry in dimensions] == list(range(8))
    assert all(entry["min"] < entry["max"] for entry in dimensions)
    ranked = sorted(dimensions, key=lambda entry: entry["rank"])
    values = [entry["activeness"] for entry in ranked]
    assert values == sorted(values, reverse=True) and values[-1] > 0
    assert f"z[{ranked[0]['dimension']}] " in done.out.splitlines()[1]

    dci = record["dci"]
    assert dci["num_images"] == 12 and 2 <= dci["num_objects"] <= 48
    assert np.shape(dci["importance"]) == (8, len(dci["informativeness"]))
    assert {"x", "y", "scale", "shape"} <= dci["informativeness"].keys()
    assert not {"sprite", "visibility"} & dci["informativeness"].keys()
    (line,) = lines_of(done.out, "DCI")
    assert line == f"DCI of {dci['num_objects']} objects in 12 images"
    assert f"{dci['disentanglement']:.4f}" in done.out
    # Six rows of one image and one slot, and ten columns.
    assert Image.open(tmp_path / "traversals.png").height < 6 * 110 + 60
    assert Image.open(tmp_path / "activeness.png").mode == "RGB"


def test_without_factors(reference_run, tmp_path, monkeypatch):
    def without_factors(*arguments, extra_fields, **options):
        return eval_batches(*arguments, **options)

    monkeypatch.setattr(latent_report, "eval_batches", without_factors)
    arguments = (f"--workdir={reference_run}", f"--output={tmp_path}", *_FEW)
    done = command("latents", *arguments)
    assert done.status == 0, done.err
    assert lines_of(done.out, "no") == [
        "no DCI: multi_dsprites has no masks or no factors of objects."
    ]
    record = json.loads((tmp_path / "latents.json").read_text())
    assert record["dci"] is None and record["dimensions"][0]["rank"] >= 1
    assert {path.name for path in tmp_path.iterdir()} == {
        "latents.json",
        "activeness.png",
        "traversals.png",
    }
    done = command("latents", *arguments, "--traverse=4,1")
    assert done.status == 1
    assert done.err == "error: --traverse=4,1 is not IMAGE,SLOT from 1,1 to 3,3.\n"


@pytest.mark.compiles
def test_a_model_that_cannot_decode_latents(tiny_config, tmp_path, monkeypatch):
    config = experiment(tiny_config, "monet")
    model = models.build(config.model)
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), abstract_variables(model))
    inference.export(TrainedModel(config, model, zeros, 7), tmp_path)
    done = command("latents", f"--workdir={tmp_path}", *_FEW)
    assert done.status == 0, done.err
    first, no_activeness, no_dci, wrote = done.out.splitlines()
    assert first == "step 7, test images of multi_dsprites"
    assert no_activeness.startswith("no activeness and no traversals: monet: the latents alone")
    # All masks are alike, so that no object finds a slot.
    assert no_dci.startswith("no DCI: 0 matched object(s)")
    assert wrote == f"wrote {tmp_path / 'latents.json'}"
    record = json.loads((tmp_path / "latents.json").read_text())
    assert record["dci"] is None
    assert record["dimensions"][3].keys() == {"dimension", "min", "max"}

    # Latents that are not finite. Weights that are not are refused when they are loaded.
    monkeypatch.setattr(inference, "_misfits", lambda *_: [])
    nan = jax.tree.map(lambda leaf: leaf + np.nan, zeros)
    inference.export(TrainedModel(config, model, nan, 8), tmp_path)
    done = command("latents", f"--workdir={tmp_path}", *_FEW)
    assert done.status == 1
    assert done.err == (
        "error: latents or masks of 8 of 8 images are NaN or infinite, so there is nothing to"
        " measure; take an earlier checkpoint with --step.\n"
    )
