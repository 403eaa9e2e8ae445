"""The dataset registry and what importing the data package costs."""

import subprocess
import sys

import numpy as np
import pytest

import ocgm.datasets
from ocgm.data import (
    DATASETS,
    data_dir,
    eval_batches,
    get_spec,
    inventory,
    prepare,
    registry,
    source_files,
    storage,
    train_iterator,
)
from ocgm.errors import DatasetMissingError, UserError


def test_entries():
    published = {
        "dsprites": 2,
        "multi_dsprites_deepmind": 6,
        "tetrominoes": 4,
        "clevr_with_masks": 7,
        "objects_room": 7,
        "shapestacks": 9,
        "gqn": 7,
        "sketchy": 10,
        "apc": 10,
    }
    synthetic = {f"{name}_synthetic": num_slots for name, num_slots in published.items()}
    assert {name: spec.num_slots for name, spec in DATASETS.items()} == {
        "multi_dsprites": 5,
        **published,
        **synthetic,
        "folder": 7,
    }
    for name, spec in DATASETS.items():
        assert spec.name == name
        assert spec.generated == (name == "multi_dsprites" or name in synthetic)
        assert spec.stand_in == (f"{name}_synthetic" if name in published else "")
        # Whoever reads a table or a figure sees what the data are.
        assert ("synthetic" in spec.title) == (name in synthetic)


@pytest.mark.parametrize("name", DATASETS)
def test_builders(name, new_config, tmp_path):
    """Every entry has a builder of the contract, whose first form is the one that the papers use."""
    spec = DATASETS[name]
    config = new_config(
        tmp_path, name=name, variant="", image_size=spec.image_size, num_examples=()
    )
    builder = storage.open_builder(config)
    assert builder.name == name
    assert builder.info.description and builder.info.citation
    features = builder.info.features
    assert features["image"].np_dtype == np.uint8
    assert features["image"].shape[0] >= spec.image_size
    if name != "folder":
        assert ("masks" in features) == spec.has_masks
        assert builder.builder_config.name == next(iter(builder.VARIANTS))
    for field in ("masks", "background_parts"):
        if field in features:
            assert features[field].np_dtype == np.uint8 and len(features[field].shape) == 2
    assert features["num_objects"].np_dtype == np.int32
    assert list(builder.factors) == list(features["factors"])
    for factor in builder.factors.values():
        assert factor.of in ("object", "scene") and factor.kind in ("class", "number")
        if factor.of == "object":  # Row i - 1 belongs to label i.
            assert factor.feature.shape[0] == spec.max_objects
        else:
            assert factor.scored


_DOTS_BUILDER = """
import numpy as np
from etils import epath
from ocgm.datasets.builders import base, from_files


class Builder(from_files.FileBuilder):
    \"\"\"White dots.\"\"\"

    pkg_dir_path = epath.Path(__file__).parent  # TFDS looks for it inside the installed package.
    HOMEPAGE = "https://example.org"
    MANUAL_DOWNLOAD_INSTRUCTIONS = "Put dots.npy into the directory."
    FACTORS = {"x": base.object_factor("number", 1, np.int32)}
    IMAGE_SIZES = (8,)

    def source_files(self, folder):
        return from_files.required(folder, ["dots.npy"])

    def splits(self, files):
        columns = np.load(files[0])
        return {split: self._records(part) for split, part in zip(self.SPLITS, np.split(columns, 3))}

    def _records(self, columns):
        for x in columns:
            masks = np.zeros((8, 8), np.uint8)
            masks[3, x] = 1
            image = np.repeat(255 * masks[..., None], 3, -1)
            yield {"image": image, "masks": masks, "num_objects": 1, "factors": {"x": [x]}}
"""


def test_adding_a_dataset(monkeypatch, new_config, tmp_path):
    """An entry and a directory are enough; there need be no synthetic dataset, links or downloads."""
    package = tmp_path / "packages" / "dots"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "dots_dataset_builder.py").write_text(_DOTS_BUILDER)
    (package / "README.md").write_text("Dots.")
    (package / "CITATIONS.bib").touch()
    monkeypatch.setattr(ocgm.datasets, "__path__", [*ocgm.datasets.__path__, str(package.parent)])
    spec = registry.DatasetSpec(
        name="dots", title="Dots", image_size=8, num_slots=2, max_objects=1, how_to_get="ask Dot"
    )
    monkeypatch.setitem(registry.DATASETS, "dots", spec)
    config = new_config(tmp_path, name="dots", variant="", image_size=8, num_examples=())

    with pytest.raises(DatasetMissingError) as error:
        prepare(config)
    files = tmp_path / "downloads" / "dots"
    assert str(error.value) == (
        f"Dots ('dots') is not at {tmp_path / 'dots'}. To get it, ask Dot ({files / 'dots.npy'} not "
        "found); `ocgm data prepare dots` downloads it where that is possible, and reads files that "
        "you have with --manual_dir=DIR"
    )
    with pytest.raises(UserError, match="^Dots: .*dots.npy not found. To get it, ask Dot; if"):
        source_files.fetch(storage.open_builder(config), config)

    files.mkdir(parents=True)
    np.save(files / "dots.npy", np.arange(6))
    assert next(train_iterator(config, 2, seed=0))["image"].shape == (2, 8, 8, 3)
    (batch,) = eval_batches(config, "test", 2, extra_fields=("factors",))
    assert batch["factors"]["x"].tolist() == [[4], [5]]
    entry = next(entry for entry in inventory.entries(tmp_path) if entry.spec is spec)
    assert entry.state == "prepared" and entry.details[0].startswith("default/1.0.0: train 2,")


def test_stand_ins_are_named_by_entries():
    for spec in DATASETS.values():
        assert spec.stand_in == "" or DATASETS[spec.stand_in].generated
        assert not (spec.generated and spec.stand_in)


def test_unknown_dataset():
    with pytest.raises(
        UserError, match="unknown dataset 'multi_dsprite'.*did you mean multi_dsprites"
    ):
        get_spec("multi_dsprite")


@pytest.mark.parametrize(
    "name,source",
    [
        (
            "clevr_with_masks",
            "https://storage.googleapis.com/multi-object-datasets/clevr_with_masks/",
        ),
        ("objects_room", "https://storage.googleapis.com/multi-object-datasets/objects_room/"),
        ("shapestacks", "http://shapestacks-file.robots.ox.ac.uk/static/download/v1/"),
        ("gqn", "gs://gqn-dataset/rooms_ring_camera"),
        ("sketchy", "https://storage.googleapis.com/sketchy-data/"),
        ("apc", "http://3dvision.princeton.edu/projects/2016/apc/downloads/training.zip"),
    ],
)
def test_missing_dataset(new_config, tmp_path, name, source):
    config = new_config(tmp_path, name=name, variant="", image_size=DATASETS[name].image_size)
    for use in (
        lambda: prepare(config),
        lambda: train_iterator(config, 4, seed=0),
        lambda: eval_batches(config, "test", 4),
    ):
        with pytest.raises(DatasetMissingError) as error:
            use()
        message = str(error.value)
        assert DATASETS[name].title in message
        assert str(tmp_path / name) in message
        assert source in message
        assert message.endswith(f"--config.data.name={name}_synthetic")
        assert f"`ocgm data prepare {name}`" in message
        assert "\n" not in message


def test_data_dir(monkeypatch, new_config, tmp_path):
    monkeypatch.setenv("OCGM_DATA_DIR", str(tmp_path / "environment"))
    assert data_dir(new_config(tmp_path / "given")) == tmp_path / "given"
    assert data_dir(new_config("")) == tmp_path / "environment"
    monkeypatch.delenv("OCGM_DATA_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data_dir(new_config("")) == tmp_path / "tensorflow_datasets"


def test_unwritable_data_dir(new_config, tmp_path):
    file = tmp_path / "file"
    file.write_text("not a folder")
    with pytest.raises(UserError, match=f"cannot write multi_dsprites/.* to {file}"):
        prepare(new_config(file))


def test_import_is_cheap():
    program = (
        "import sys, ocgm, ocgm.data, ocgm.data.registry\n"
        "heavy = {'tensorflow', 'tensorflow_datasets', 'grain', 'jax'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_unknown_name():
    with pytest.raises(ImportError, match="cannot import name 'tain_iterator'"):
        from ocgm.data import tain_iterator  # noqa: F401
