"""TensorFlow's checkpoints, read without TensorFlow; fixtures/tf_checkpoint/make.py made the files with it."""

import math
import pathlib
import shutil
import struct

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import ROOT, command, write_config

from ocgm import experiment, inference, models, wire_format
from ocgm.errors import CheckpointError
from ocgm.interop import entries_of, keras_layers, tf_checkpoint, torch_import
from ocgm.interop.parameter_names.slot_attention import keras_names
from ocgm.modules import layers

FOLDER = pathlib.Path(__file__).parent / "fixtures" / "tf_checkpoint"
DATA = "ckpt-1.data-00000-of-00001"
HOLDER = "network/layer_with_weights-0"
# Of the index: size of its only block, and parts of two values in it.
BLOCK, HEADER, GLOBAL_STEP = 9640, b"\x08\x01\x1a\x02", b"\x08\x09\x12\x00(\x085g"


def config():
    tiny = experiment.load_config("slot_attention_clevr6")
    tiny.update_from_flattened_dict(
        {
            "data.image_size": 16,
            "model.num_slots": 3,
            "model.latent_size": 5,
            "model.hidden_size": 7,
            "model.encoder_features": (6, 6, 6, 6),
            "model.decoder_features": 4,
            "model.decoder_grid": 4,
        }
    )
    return tiny


def test_checksum():
    """Test vectors of RFC 3720, appendix B.4, masked; sizes with and without a remainder."""
    for data, crc in (
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
    ):
        masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32
        assert wire_format.masked_crc32c(data) == masked


@pytest.mark.compiles
def test_same_model_as_in_tensorflow(tmp_path, monkeypatch):
    """Through the command: gates, epsilons, transposed convolutions, positions and optimiser slots."""
    workdir = tmp_path / "run"
    done = command(
        "convert",
        f"--config={write_config(tmp_path, config())}",
        f"--checkpoint={FOLDER / 'ckpt-1.index'}",
        f"--workdir={workdir}",
    )
    assert done.status == 0, done.err
    trained = inference.load(workdir)
    expected = dict(np.load(FOLDER / "outputs.npz"))
    monkeypatch.setattr(jax.random, "normal", lambda *_, **__: jnp.asarray(expected["noise"]))
    images = expected["images"] / np.float32(255)
    outputs = trained.model.apply(
        trained.variables, images, train=False, rngs={"latent": jax.random.key(0)}
    )
    assert done.out == f"imported 5,174 parameters of step 1,234 into {workdir}\n"
    for actual, name in (
        (outputs.slots, "slots"),
        (jnp.exp(outputs.log_masks), "masks"),
        (2.0 * outputs.reconstruction - 1.0, "reconstruction"),
    ):
        np.testing.assert_allclose(actual, expected[name], rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(("size", "stride"), [(5, 2), (5, 1), (3, 1)])
def test_transposed_convolution(size, stride):
    arrays = np.load(FOLDER / "transposed_convolutions.npz")
    x, kernel, y = (arrays[f"{name}_{size}_{stride}"] for name in ("input", "kernel", "output"))
    entry, _ = keras_layers.transposed_conv("decoder", "decoder")
    layer = layers.TransposedConv(2, size, stride, same_padding=True)
    params = {"kernel": entry.transform(kernel), "bias": np.zeros(2, np.float32)}
    np.testing.assert_allclose(layer.apply({"params": params}, x), y, rtol=1e-4, atol=1e-5)


def test_published_sizes():
    """All parameters of the published model, in Keras' layouts."""
    model = models.build(experiment.load_config("slot_attention_clevr6").model)
    shapes = torch_import.torch_shapes(model)
    assert sum(map(math.prod, shapes.values())) == 890_308
    assert shapes["decoder_cnn/5/kernel"] == (3, 3, 4, 64)
    assert shapes["slot_attention/slots_mu"] == (1, 1, 64)
    assert len(shapes) == len(entries_of(model)) == 49


def test_names_whatever_holds_the_network():
    rows = np.arange(6.0).reshape(2, 3)
    names = {
        f"{HOLDER}/encoder_cnn/layer_with_weights-2/kernel": "encoder_cnn/2/kernel",
        "model/encoder_pos/projection/bias": "encoder_pos/bias",
        "feedforward/layer-1/bias": "mlp/1/bias",
        "root/net/slot_attention/mlp/layer_with_weights-0/kernel": "slot_attention/mlp/0/kernel",
        "network/layer-1/kernel": "network/layer-1/kernel",
    }
    tensors = dict.fromkeys(names, np.zeros(1))
    renamed = keras_names({**tensors, "slot_attention/gru/bias": rows})
    np.testing.assert_array_equal(renamed.pop("slot_attention/gru/bias_input"), rows[0])
    np.testing.assert_array_equal(renamed.pop("slot_attention/gru/bias_recurrent"), rows[1])
    assert list(renamed) == list(names.values())
    twice = {f"{HOLDER}/decoder_pos/{name}/bias": rows for name in ("dense", "other")}
    with pytest.raises(CheckpointError, match="two variables 'decoder_pos/bias', one is .*other"):
        keras_names(twice)


def test_problems_are_named():
    tensors = tf_checkpoint.read(FOLDER / "ckpt-1.index")
    assert tensors.pop("step") == 1234
    tensors[f"{HOLDER}/slot_attention/norm_value/gamma"] = np.zeros(5, np.float32)
    del tensors[f"{HOLDER}/layer_norm/beta"]
    tensors[f"{HOLDER}/slot_attention/gru/bias"] = np.zeros(15, np.float32)
    with pytest.raises(CheckpointError) as caught:
        torch_import.to_variables(models.build(config().model), keras_names(tensors))
    assert sorted(line.strip() for line in str(caught.value).splitlines()[1:]) == [
        "missing: layer_norm/beta",
        "missing: slot_attention/gru/bias_input",
        "missing: slot_attention/gru/bias_recurrent",
        "not expected: slot_attention/gru/bias",
        "not expected: slot_attention/norm_value/gamma",
    ]


@pytest.fixture
def index(tmp_path) -> pathlib.Path:
    """Of a copy of the checkpoint."""
    for path in FOLDER.glob("ckpt-1.*"):
        shutil.copy(path, tmp_path)
    return tmp_path / "ckpt-1.index"


def assert_refused(index: pathlib.Path, message: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        tf_checkpoint.read(index)
    text = str(caught.value)
    assert text.startswith(str(index.parent)) and message in text and "\n" not in text


@pytest.mark.parametrize(
    ("old", "new", "compression", "message"),
    [
        (b"", b"", 1, "is compressed, which is not supported; save the checkpoint again"),
        (GLOBAL_STEP, b"\x08\x08\x12\x00(\x085g", 0, "'global_step' is of TensorFlow's type 8"),
        (GLOBAL_STEP, b"\x08\x09\x3a\x00(\x085g", 0, "'global_step' is in slices"),
        (HEADER, b"\x08\x01\x10\x01", 0, "not the index of a little-endian checkpoint"),
        (HEADER, b"\x08\x02\x1a\x02", 0, "ckpt-1.data-00000-of-00002: no such file"),
    ],
)
def test_unknown_kinds(index, old, new, compression, message):
    """Of the only block, which then gets a right checksum."""
    content = index.read_bytes()
    assert not old or content.count(old) == 1
    block = content[:BLOCK].replace(old, new) + bytes([compression])
    checksum = struct.pack("<I", wire_format.masked_crc32c(block))
    index.write_bytes(block + checksum + content[BLOCK + 5 :])
    assert_refused(index, message)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("ckpt-1.index", lambda content: b"", "is not the index of a TensorFlow checkpoint"),
        ("ckpt-1.index", lambda content: content[:-1], "or truncated"),
        ("ckpt-1.index", lambda content: content[2000:], "is damaged"),
        ("ckpt-1.index", lambda content: content[-48:], "is damaged or truncated"),
        ("ckpt-1.index", lambda content: b"\x7f" + content[1:], "a checksum is wrong"),
        (DATA, lambda content: content[:1000], "is truncated: 'network/layer_with_weights-0/"),
        (DATA, lambda content: b"\x7f" * len(content), "the checksum of 'global_step' is wrong"),
    ],
)
def test_damaged_files(index, name, change, message):
    path = index.with_name(name)
    path.write_bytes(change(path.read_bytes()))
    assert_refused(index, message)


def test_missing_data(index, tmp_path):
    """Through the command."""
    (tmp_path / DATA).unlink()
    config_file = ROOT / "configs" / "slot_attention_clevr6.py"
    arguments = (f"--config={config_file}", f"--checkpoint={index}", f"--workdir={tmp_path / 'x'}")
    done = command("convert", *arguments)
    assert done.status == 1
    assert done.err == f"error: {tmp_path / DATA}: no such file; it belongs beside the index.\n"
    assert not (tmp_path / "x").exists()
