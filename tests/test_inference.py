"""Trained models: those that ship, loading by name or directory, and images of any size."""

import io
import json
import shutil

import jax
import numpy as np
import pytest
from helpers import command
from PIL import Image

import ocgm
from ocgm import inference
from ocgm.datasets.builders.image_files import load_images
from ocgm.errors import CheckpointError, InputError

NAME = "slot_attention/tetrominoes"


@pytest.fixture(scope="module")
def model() -> ocgm.TrainedModel:
    return ocgm.load(NAME)


def test_shipped_models():
    cards = {card.name: card for card in ocgm.list_models()}
    assert list(cards) == ["genesis_v2/multi_dsprites", NAME]
    for name, card in cards.items():
        trained = ocgm.load(name)
        assert trained.step == card.steps
        data = trained.config.data
        assert (data.name, data.variant) == (card.dataset, card.variant)
        assert data.image_size == card.image_size
    assert round(cards[NAME].scores["ari_fg"], 2) == 0.94
    done = command("list_models")
    assert done.status == 0 and f"{NAME}: tetrominoes_synthetic, 32x32, 15,000 steps" in done.out


def test_names_that_do_not_exist(tmp_path):
    with pytest.raises(InputError, match=f"neither a directory nor a model that ships.*{NAME}"):
        ocgm.load("slot_attention/tetrominos")
    with pytest.raises(CheckpointError, match="holds step 15000, not step 3"):
        ocgm.load(NAME, step=3)


def test_load_takes_text_and_paths(reference_run):
    one, other = ocgm.load(str(reference_run), step=20), ocgm.load(reference_run)
    assert one.step == other.step == 20
    jax.tree.map(np.testing.assert_array_equal, one.variables, other.variables)


def text(arrays):
    return b"params/gru/bias_hh 1.0 2.0\n" * 40


def half(arrays):
    return npz(arrays)[:-2000]


def flipped_bit(arrays):
    content = bytearray(npz(arrays))
    content[len(content) // 2] ^= 1
    return bytes(content)


def without_step(arrays):
    return npz({name: array for name, array in arrays.items() if name != "step"})


def step_of_letters(arrays):
    return npz(arrays | {"step": np.array("many")})


def not_finite(arrays):
    return npz(arrays | {"params/gru/bias_hh": arrays["params/gru/bias_hh"] * np.float32("nan")})


def other_shape(arrays):
    return npz(arrays | {"params/gru/bias_hh": arrays["params/gru/bias_hh"][:-1]})


def other_type(arrays):
    return npz(arrays | {"params/gru/bias_hh": np.array(["a"] * 192)})


def missing(arrays):
    return npz({name: array for name, array in arrays.items() if name != "params/gru/bias_hh"})


def another_model(arrays):
    return npz(
        {f"params/layer_{i}": array for i, array in enumerate(arrays.values())} | {"step": 3}
    )


def bomb(arrays):
    return npz(arrays | {"params/zeros": np.zeros(10**7, np.float32)}, np.savez_compressed)


def npz(arrays, save=np.savez) -> bytes:
    buffer = io.BytesIO()
    save(buffer, **arrays)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (text, "is damaged .it is no npz file"),
        (half, "is damaged .it is no npz file"),
        (flipped_bit, "is damaged|NaN|does not fit"),
        (without_step, "is damaged .*step"),
        (step_of_letters, "is damaged .*many"),
        (not_finite, "params/gru/bias_hh holds NaN or infinite values"),
        (other_shape, r"params/gru/bias_hh is float32 \[191\] instead of float32 \[192\]"),
        (other_type, r"params/gru/bias_hh is <U1 \[192\] instead of float32"),
        (missing, "params/gru/bias_hh is missing"),
        (another_model, r"does not fit the model of its config.json \(\d+ problems\)"),
        (bomb, "is damaged .it holds 40,.* bytes, but the model has"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_damaged_export(exported, damage, message):
    """One message that names the file and the way out."""
    folder, arrays = exported
    (folder / "variables.npz").write_bytes(damage(arrays))
    with pytest.raises(CheckpointError, match=message) as error:
        ocgm.load(folder)
    assert str(error.value).startswith(f"{folder / 'variables.npz'} ")
    assert "Export the run again" in str(error.value)
    assert len(str(error.value).splitlines()) < 10


@pytest.fixture
def exported(model, tmp_path):
    """A folder of an export to damage, and its arrays."""
    inference.export(model, tmp_path)
    with np.load(tmp_path / "variables.npz") as arrays:
        return tmp_path, dict(arrays)


def test_load_needs_no_valid_optimizer(reference_run, tmp_path):
    workdir = shutil.copytree(reference_run, tmp_path / "run")
    config = json.loads((workdir / "config.json").read_text())
    config["optimizer"] = {"name": "of the future"}
    (workdir / "config.json").write_text(json.dumps(config))
    expected = ocgm.load(reference_run).variables
    jax.tree.map(np.testing.assert_array_equal, ocgm.load(workdir).variables, expected)


def test_any_size_as_segment_does(model, tmp_path):
    random = np.random.default_rng(0)
    images = [
        random.integers(0, 256, (*size, 3), np.uint8) for size in ((90, 61), (32, 32), (7, 40))
    ]
    paths = [tmp_path / f"{i}.png" for i in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    _, resized, _ = load_images(paths, 32)
    expected = model(resized)
    np.testing.assert_array_equal(model(images, resize=True).slots, expected.slots)
    floats = model([image / np.float32(255) for image in images], resize=True)
    np.testing.assert_allclose(floats.reconstruction, expected.reconstruction, atol=0.05)
    same = model(np.stack([images[1]] * 3), resize=True)
    np.testing.assert_array_equal(same.slots, model(np.stack([images[1]] * 3)).slots)


def test_constant_floats_stay_in_range(model):
    model([np.ones((50, 47, 3), np.float32), np.ones((33, 9, 3), np.float64)], resize=True)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([], "expected one or more images"),
        (
            [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4, 3), np.float32)],
            "all uint8 or all float",
        ),
        ([np.zeros((4, 4), np.uint8)], r"an image has shape \[4, 4\]; expected \[H, W, 3\]"),
        (np.full((1, 4, 4, 3), 255.0), r"must be in \[0, 1\]"),
    ],
)
def test_images_that_cannot_be_resized(model, images, message):
    with pytest.raises(InputError, match=message):
        model(images, resize=True)


def test_features(trained):
    images = np.zeros((2, 32, 32, 3), np.uint8)
    assert trained.features(images).shape[0] == 2


def test_data_config(model):
    data = model.data_config()
    assert data == model.config.data and data is not model.config.data
    other = model.data_config("multi_dsprites", variant="vivid", data_dir="somewhere")
    assert (other.name, other.variant, other.image_size) == ("multi_dsprites", "vivid", 32)
    assert other.data_dir == "somewhere"
    assert inference.ships(NAME) and not inference.ships("pretrained")
