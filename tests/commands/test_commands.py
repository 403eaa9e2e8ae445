"""The commands, typed as a user types them."""

import json
import pathlib
import re
import shutil

import numpy as np
import pytest
from helpers import ROOT, command, finish, saved, start, write_config
from PIL import Image
from reference_weights import fixture_weight

from ocgm import inference, models
from ocgm.interop import torch_import

# test_configs.py builds every config; here are the kinds of file and of model.
_EXPERIMENTS = (
    "quickstart.py",
    "genesis_v2_independent_prior.py:objects_room,laplacian",
    "genesis_shapestacks.py",
    "monet_multi_dsprites.py",
    "reconstruction_bottlenecks.py:multi_dsprites,sbd_vae,16",
)


@pytest.fixture
def config_file(tiny_config, tmp_path) -> pathlib.Path:
    return write_config(tmp_path, tiny_config())


def test_describe_as_a_process():
    done = finish(start("-m", "ocgm", "describe", "--config=genesis_v2_multi_dsprites"))
    assert done.status == 0, done.err
    lines = done.out.splitlines()
    assert "parameters: 2,729,422" in lines
    assert "  components: [32, 5, 64, 64, 3]" in lines
    assert re.search(r"\| +prior/lstm/kernel_ih +\| +\(64, 1024\)", done.out)
    config = json.loads(done.out.split("config:\n")[1])
    assert config["objective"]["goal"] == 0.5655


@pytest.mark.parametrize("name", _EXPERIMENTS)
def test_describe_every_config(name):
    done = command("describe", f"--config={ROOT / 'configs' / name}")
    assert done.status == 0, done.err
    assert re.search(r"^parameters: [\d,]+$", done.out, re.MULTILINE)


@pytest.mark.parametrize("config", [("--config=NAME",), ("--config", "NAME"), ("-config=NAME",)])
def test_describe_a_named_config_with_changes(config):
    name = "genesis_v2_independent_prior:objects_room,gaussian"
    words = [word.replace("NAME", name) for word in config]
    done = command("describe", *words, "--config.model.num_slots=9", "--config.batch_size=2")
    assert "  components: [2, 9, 64, 64, 3]" in done.out, done.err


@pytest.mark.compiles
def test_main(config_file, tmp_path):
    workdir = tmp_path / "run"
    arguments = (f"--config={config_file}", f"--workdir={workdir}", "--config.num_train_steps=3")
    done = command("train", *arguments)
    assert done.status == 0, done.err
    assert re.search(
        r"^step 3/3 \(100%\)  loss [\d.]+  error [\d.]+  kl [-\d.]+  beta [\d.]+  [\d.]+ img/s  ETA 0m00s$",
        done.out,
        re.MULTILINE,
    )
    assert saved(workdir)[".step"] == 3
    assert json.loads((workdir / "config.json").read_text())["num_train_steps"] == 3
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "train/loss" in row] == [1, 2, 3]


@pytest.mark.compiles
def test_evaluate_as_a_process(reference_run, tmp_path):
    arguments = (f"--workdir={reference_run}", "--num_images=12", "--batch_size=8")
    done = finish(start("-m", "ocgm", "evaluate", *arguments, f"--output={tmp_path}"))
    assert done.status == 0, done.err
    assert done.out.startswith("step 20, 12 test images of multi_dsprites\n")
    record = json.loads((tmp_path / "evaluation.json").read_text())
    assert (record["step"], record["split"], record["num_images"]) == (20, "test", 12)
    assert -1 <= record["ari_fg_attention"] <= 1 and 0 <= record["msc_fg_decoded"] <= 1
    assert f"{record['ari_fg_attention']:.4f}" in done.out
    assert Image.open(tmp_path / "evaluation.png").size > (32, 32)


@pytest.mark.compiles
def test_export_is_evaluated_alike(reference_run, tmp_path):
    done = command("export", f"--workdir={reference_run}", f"--output={tmp_path / 'export'}")
    assert (done.status, done.out) == (0, f"wrote step 20 to {tmp_path / 'export'}\n")
    assert not (tmp_path / "export" / "checkpoints").exists()
    records = []
    for workdir, name in ((reference_run, "a"), (tmp_path / "export", "b")):
        arguments = ("--num_images=12", "--batch_size=8", "--split=validation")
        done = command(
            "evaluate", f"--workdir={workdir}", f"--output={tmp_path / name}", *arguments
        )
        assert done.status == 0, done.err
        records.append(json.loads((tmp_path / name / "evaluation.json").read_text()))
    assert records[0] == records[1]


def test_evaluate_an_earlier_step(reference_run, tmp_path):
    arguments = (f"--output={tmp_path}", "--num_images=12", "--batch_size=8")
    done = command("evaluate", f"--workdir={reference_run}", "--step=5", *arguments)
    assert done.out.startswith("step 5, 12 test")
    done = command("evaluate", f"--workdir={reference_run}", "--step=6", *arguments)
    assert done.status == 1
    assert done.err.startswith("error: ") and "has no step 6; it has [5, 10," in done.err


def test_sample(reference_run, tmp_path):
    arguments = (f"--workdir={reference_run}", f"--output={tmp_path}")
    done = command("sample", *arguments, "--num_images=3", "--num_slots=5", "--seed=1")
    assert (done.status, done.out) == (
        0,
        f"wrote {tmp_path / 'samples.png'} and samples.npz (3 scenes)\n",
    )
    with np.load(tmp_path / "samples.npz") as arrays:
        assert arrays["images"].shape == (3, 32, 32, 3)
        assert arrays["masks"].shape == (3, 5, 32, 32, 1)
        np.testing.assert_allclose(arrays["masks"].sum(axis=1), 1.0, atol=1e-5)
    assert Image.open(tmp_path / "samples.png").mode == "RGB"


@pytest.fixture
def pictures(tmp_path) -> pathlib.Path:
    """A folder with pictures of odd sizes and modes."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (90, 61, 4), np.uint8)
    Image.fromarray(noise).save(folder / "rgba.png")
    Image.fromarray(noise[..., 0]).save(folder / "grey.jpg")
    Image.fromarray(noise[:7, :5, :3]).save(folder / "tiny.bmp")
    Image.fromarray(noise[..., :3]).convert("P").save(folder / "palette.png")
    Image.fromarray(noise[..., 0] > 127).save(folder / "bits.png")
    (folder / "notes.txt").write_text("no picture")
    return folder


def test_segment_as_a_process(reference_run, pictures, tmp_path):
    output = tmp_path / "out"
    arguments = (f"--workdir={reference_run}", f"--output={output}", "--batch_size=2")
    done = finish(start("-m", "ocgm", "segment", *arguments, pictures, pictures / "grey.jpg"))
    assert done.status == 0, done.err
    assert done.out == f"wrote 6 segmentation(s) to {output}\n"
    names = ["bits", "grey", "palette", "rgba", "tiny", "grey_2"]
    with np.load(output / "segmentation.npz") as arrays:
        assert arrays["names"].tolist() == names
        assert arrays["images"].shape == (6, 32, 32, 3)
        assert arrays["masks_attention"].shape == arrays["masks_decoded"].shape == (6, 3, 32, 32, 1)
        attention, decoded = arrays["masks_attention"], arrays["masks_decoded"]
        np.testing.assert_array_equal(arrays["labels"], attention[..., 0].argmax(axis=1))
        np.testing.assert_array_equal(arrays["masks"], decoded)  # GENESIS-V2 mixes with these.
        np.testing.assert_array_equal(arrays["images"][1], arrays["images"][5])
    kinds = {f"{name}_{kind}.png" for name in names for kind in ("masks", "overlay", "components")}
    assert {path.name for path in output.iterdir()} == kinds | {"segmentation.npz"}


def test_segment_never_reads_its_own_output(reference_run, pictures):
    """Neither from a directory in the input, nor from the input itself."""
    (pictures / "deep").mkdir()
    long = "a" * 240
    shutil.copy(pictures / "tiny.bmp", pictures / "deep" / f"{long}.bmp")
    for output in (pictures / "out", pictures, pictures / "out"):
        arguments = (f"--workdir={reference_run}", f"--output={output}", "--batch_size=2")
        done = command("segment", *arguments, pictures)
        assert done.out == f"wrote 6 segmentation(s) to {output}\n", done.err
        with np.load(output / "segmentation.npz") as arrays:
            assert arrays["names"].tolist()[1] == long[:120]
            assert arrays["files"].tolist()[1] == str(pictures / "deep" / f"{long}.bmp")
    assert f"Ignored 3 files in {pictures} that are not images" in done.err
    assert f"Ignored 36 figures in {pictures} that `ocgm segment` wrote" in done.err


# ---- import of the authors' checkpoints


@pytest.fixture(scope="module")
def state_dict(tiny_config) -> dict[str, np.ndarray]:
    shapes = torch_import.torch_shapes(models.build(tiny_config().model))
    return {name: fixture_weight(name, shape) for name, shape in shapes.items()}


def save_npz(path, state_dict):
    np.savez(path, **state_dict)


def save_safetensors(path, state_dict):
    pytest.importorskip("safetensors.numpy").save_file(state_dict, path)


def save_torch(path, state_dict):
    torch = pytest.importorskip("torch")
    tensors = {f"module.{name}": torch.tensor(array) for name, array in state_dict.items()}
    torch.save({"model_state_dict": tensors, "iter_idx": 77, "err_ema": 1.0}, path)


def convert(config_file, checkpoint, workdir):
    arguments = (f"--config={config_file}", f"--checkpoint={checkpoint}", f"--workdir={workdir}")
    return command("convert", *arguments)


@pytest.mark.compiles
@pytest.mark.parametrize(
    "suffix,save,step",
    [("npz", save_npz, 0), ("safetensors", save_safetensors, 0), ("pth", save_torch, 77)],
)
def test_convert(config_file, state_dict, tmp_path, suffix, save, step):
    save(tmp_path / f"weights.{suffix}", state_dict)
    workdir = tmp_path / "run"
    done = convert(config_file, tmp_path / f"weights.{suffix}", workdir)
    assert done.status == 0, done.err
    assert done.out == f"imported 116,102 parameters of step {step} into {workdir}\n"
    trained = inference.load(workdir)
    assert trained.step == step
    expected = torch_import.to_variables(trained.model, state_dict)["params"]
    np.testing.assert_array_equal(
        trained.variables["params"]["encoder"]["mlp_0"]["kernel"],
        expected["encoder"]["mlp_0"]["kernel"],
    )
    assert convert(config_file, tmp_path / f"weights.{suffix}", workdir).err.startswith(
        f"error: --workdir={workdir} already holds checkpoints"
    )
    # Training goes on from there.
    done = command(
        "train",
        f"--config={config_file}",
        f"--workdir={workdir}",
        f"--config.num_train_steps={step + 2}",
    )
    assert done.status == 0, done.err
    assert f"from step {step}" in done.out
    assert saved(workdir)[".step"] == step + 2


def test_convert_lists_all_problems(config_file, state_dict, tmp_path):
    changed = dict(state_dict)
    changed["seg_head.0.weights"] = changed.pop("seg_head.0.weight")
    del changed["z_head.3.bias"]
    changed["prior_linear.bias"] = np.zeros(7, np.float32)
    save_npz(tmp_path / "weights.npz", changed)
    done = convert(config_file, tmp_path / "weights.npz", tmp_path / "run")
    assert done.status == 1
    assert done.err.startswith("error: The checkpoint does not fit the model (4 problem(s)):")
    assert sorted(line.strip() for line in done.err.splitlines()[1:]) == [
        "misshapen: prior_linear.bias is (7,), expected (16,)",
        "missing: seg_head.0.weight",
        "missing: z_head.3.bias",
        "not expected: seg_head.0.weights",
    ]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "name,content,message",
    [
        ("absent.npz", None, "no such file"),
        ("damaged.npz", b"PK\x03\x04 and no more", "cannot be read as a checkpoint"),
    ],
)
def test_convert_unreadable(config_file, tmp_path, name, content, message):
    if content:
        (tmp_path / name).write_bytes(content)
    done = convert(config_file, tmp_path / name, tmp_path / "run")
    assert done.status == 1
    assert done.err.startswith(f"error: {tmp_path / name}") and message in done.err
    assert "Traceback" not in done.err
