"""dSprites from files of a few images in the published form."""

import sys

import h5py
import numpy as np
import pytest
import tensorflow_datasets as tfds
from picture_files import prepared

from ocgm.data import storage
from ocgm.datasets.dsprites import dsprites_dataset_builder as builder_lib
from ocgm.datasets.sprites import sprite_scenes, sprites
from ocgm.errors import DatasetMissingError, UserError

STEM = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64"
COUNT = 400


@pytest.fixture
def images(monkeypatch):
    """The images of the small files: mirror images of ours, so that they can be told apart."""
    monkeypatch.setattr(sprites, "NUM_SPRITES", COUNT)
    monkeypatch.setattr(sprite_scenes, "_READ_IMAGES", 70)
    return sprite_scenes.analytic_sprites(np.arange(COUNT))[:, :, ::-1].astype(np.uint8)


@pytest.fixture(params=["npz", "hdf5"])
def source(request, images, tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    if request.param == "npz":
        np.savez_compressed(folder / f"{STEM}.npz", imgs=images, metadata=np.array([{}], object))
    else:
        with h5py.File(folder / f"{STEM}.hdf5", "w") as file:
            file.create_dataset("imgs", data=images, chunks=(30, 64, 64), compression="gzip")
    return folder


@pytest.fixture
def config(new_config, tmp_path):
    def make(source, **changes):
        fields = {"name": "dsprites", "variant": "", "num_examples": (), "manual_dir": str(source)}
        return new_config(tmp_path, **(fields | changes))

    return make


def test_records(config, source, images):
    records = prepared(config(source))
    assert {split: len(found) for split, found in records.items()} == {
        **{"train": 360, "validation": 20, "test": 20}
    }
    seen = []
    for record in [record for found in records.values() for record in found]:
        factors = record["factors"]
        (index,) = factors["sprite"]
        seen.append(index)
        np.testing.assert_array_equal(record["masks"], images[index])
        np.testing.assert_array_equal(record["image"], 255 * images[index][..., None].repeat(3, -1))
        assert record["num_objects"] == 1
        shape, scale, orientation, x, y = factors["classes"][0]
        assert index == ((shape * 6 + scale) * 40 + orientation) * 1024 + x * 32 + y
        assert factors["shape"][0] == shape + 1
        assert factors["scale"][0] == np.linspace(0.5, 1, 6, dtype=np.float32)[scale]
        angle = np.linspace(0, 2 * np.pi, 40, dtype=np.float32)[orientation]
        np.testing.assert_allclose(factors["orientation"][0], angle, rtol=1e-6)
        place = np.linspace(0, 1, 32, dtype=np.float32)[[x, y]]
        np.testing.assert_allclose([factors["x"][0], factors["y"][0]], place, rtol=1e-6)
    assert sorted(seen) == list(range(COUNT))


def test_num_examples(config, source):
    """The first of each split."""
    whole = prepared(config(source))
    few = prepared(config(source, num_examples=(5, 30, 3)))
    assert {split: len(found) for split, found in few.items()} == {
        **{"train": 5, "validation": 20, "test": 3}
    }
    for split, found in few.items():
        for record, expected in zip(found, whole[split], strict=False):
            assert record["factors"]["sprite"] == expected["factors"]["sprite"]


def test_order():
    """Pinned, for it says which images are in the test split; and mixed well."""
    order = builder_lib._shuffled(sprites.NUM_SPRITES)
    assert order[:6].tolist() == [573548, 70273, 390831, 164256, 185931, 328513]
    assert (np.bincount(order) == 1).all()
    held_out = order[: round(0.05 * sprites.NUM_SPRITES)]
    for classes in sprites.classes_from_index(held_out).T:
        counts = np.bincount(classes)
        np.testing.assert_allclose(counts, counts.mean(), atol=4 * np.sqrt(counts.mean()))
    # Neighbours in the file are not neighbours here.
    assert (np.abs(np.diff(order)) == 1).mean() < 1e-4


def test_sprites_of_either_file(source, images):
    draw = sprite_scenes.real_sprites(next(source.iterdir()))
    index = [0, 69, 70, 139, 140, 399]
    np.testing.assert_array_equal(draw(index), images[index].astype(bool))


def test_other_hdf5_files(images, tmp_path):
    path = tmp_path / "f.hdf5"
    with h5py.File(path, "w") as file:
        file["imgs"] = images[:5]
    with pytest.raises(UserError, match=r"f.hdf5 is not the dSprites hdf5 .*\(5, 64, 64\)"):
        sprite_scenes.real_sprites(path)
    with h5py.File(path, "w") as file:
        file["pictures"] = images
    with pytest.raises(UserError, match="f.hdf5 is not the dSprites hdf5"):
        sprite_scenes.real_sprites(path)
    path.write_bytes(b"text")
    with pytest.raises(UserError, match="f.hdf5 is not the dSprites hdf5"):
        sprite_scenes.real_sprites(path)
    with pytest.raises(UserError, match="no dSprites file at .*gone.hdf5"):
        sprite_scenes.real_sprites(tmp_path / "gone.hdf5")


@pytest.mark.parametrize("source", ["npz"], indirect=True)
def test_damaged_npz(config, source):
    """Anywhere in the images: the archive has checksums."""
    path = source / f"{STEM}.npz"
    whole = path.read_bytes()
    size = whole.index(b"PK", 4)  # Where the next entry begins.
    for position in range(200, size, size // 8):
        damaged = bytearray(whole)
        damaged[position] ^= 0x55
        path.write_bytes(damaged)
        with pytest.raises(UserError, match="is not the dSprites npz file, or is corrupt"):
            prepared(config(source))


def test_h5py_is_not_installed(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UserError, match=r"f.hdf5 needs h5py: pip install 'ocgm\[hdf5\]'"):
        sprite_scenes.real_sprites(tmp_path / "f.hdf5")


def test_missing_file(config, tmp_path):
    with pytest.raises(DatasetMissingError, match=f"{tmp_path}/{STEM}.npz not found"):
        prepared(config(tmp_path))


def test_download(config, tmp_path):
    (download,) = storage.open_builder(config(tmp_path)).downloads()
    assert download.url.startswith("https://github.com/google-deepmind/dsprites-dataset/")
    assert download.url.endswith(f"{STEM}.npz")


def test_tfds_keeps_its_own_builder():
    """TFDS has a dataset of the same name."""
    assert builder_lib.Builder.name == "dsprites"
    assert tfds.builder_cls("dsprites") is not builder_lib.Builder
