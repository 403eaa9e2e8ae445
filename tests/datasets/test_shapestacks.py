"""ShapeStacks: a small tree in the published layout, faults, and a published recording."""

import os
import pathlib
import shutil

import numpy as np
import pytest
from picture_files import encoded, prepared, scenery
from PIL import Image

from ocgm.data import storage
from ocgm.datasets.builders.from_files import SourceError
from ocgm.errors import DatasetMissingError

# A folder with splits/, recordings/ and perhaps iseg/ as published: the data are not free.
PUBLISHED = os.environ.get("OCGM_SHAPESTACKS_DIR", "")

SCENARIOS = {
    "train": ["env_ccs-hard-h=6-vcom=0-vpsf=0-v=12", "env_blocks-easy-h=2-vcom=1-vpsf=0-v=3"],
    "eval": ["env_ccs-easy-h=5-vcom=0-vpsf=4-v=120"],
    "test": ["env_blocks-hard-h=3-vcom=0-vpsf=0-v=1"],
}
SPLITS = {"train": "train", "eval": "validation", "test": "test"}
# height, com_violation, surface_violation, stable
FACTORS = {
    "env_ccs-hard-h=6-vcom=0-vpsf=0-v=12": (6, 0, 0, 1),
    "env_blocks-easy-h=2-vcom=1-vpsf=0-v=3": (2, 1, 0, 0),
    "env_ccs-easy-h=5-vcom=0-vpsf=4-v=120": (5, 0, 4, 0),
    "env_blocks-hard-h=3-vcom=0-vpsf=0-v=1": (3, 0, 0, 1),
}
# In another order than as text.
CAMERAS = (1, 2, 10, 16)


def picture_of(scenario: str, camera: int) -> Image.Image:
    return scenery(1000 * list(FACTORS).index(scenario) + camera, 224, 224)


def labels_of(scenario: str, camera: int) -> np.ndarray:
    """Labels up to the height of the tower, and 7."""
    rng = np.random.default_rng(1000 * list(FACTORS).index(scenario) + camera)
    allowed = [*range(FACTORS[scenario][0] + 1), 7]
    return rng.choice(allowed, (56, 56)).astype(np.uint8).repeat(4, 0).repeat(4, 1)


def map_of(labels: np.ndarray) -> Image.Image:
    """An instance map: the label times 32 in red, something else in the other channels."""
    rest = np.random.default_rng(0).integers(0, 256, (*labels.shape, 3), np.uint8)
    return Image.fromarray(np.concatenate([32 * labels[..., None], rest], -1))


def image_path(folder: pathlib.Path, scenario: str, camera: int) -> pathlib.Path:
    name = f"rgb-w={camera % 6}-f=0-l=4-c=unique-cam_{camera}-mono-0.png"
    return folder / "recordings" / scenario / name


def map_path(folder: pathlib.Path, scenario: str, camera: int, top="recordings") -> pathlib.Path:
    name = f"iseg-w=0-f=0-l=0-c=original-cam_{camera}-mono-0.map"
    return folder / top / scenario / name


def write(path: pathlib.Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapestacks")
    for variant in ("default", "blocks_all", "ccs_all"):
        for part, names in SCENARIOS.items():
            names = names if variant != "ccs_all" else names[:1]
            text = "".join(f"{name}\n" for name in names)
            write(folder / "splits" / variant / f"{part}.txt", text.encode())
    for scenario in FACTORS:
        for camera in CAMERAS:
            picture = picture_of(scenario, camera)
            write(image_path(folder, scenario, camera), encoded(picture, "PNG"))
            labels = map_of(labels_of(scenario, camera))
            write(map_path(folder, scenario, camera), encoded(labels, "PNG"))
        depth = folder / "recordings" / scenario / "depth-w=0-f=0-l=0-c=original-cam_1-mono-0.png"
        write(depth, encoded(Image.new("L", (224, 224)), "PNG"))
    return folder


@pytest.fixture
def config(source, new_config, tmp_path):
    def make(**changes):
        fields = {"variant": "", "num_examples": (), "manual_dir": str(source)}
        return new_config(tmp_path / "data", name="shapestacks", **(fields | changes))

    return make


@pytest.mark.parametrize("size", [64, 32, 128])
def test_records(config, size):
    records = prepared(config(image_size=size))
    assert list(records) == ["train", "validation", "test"]
    source = [14 + int(i * 196 / size) for i in range(size)]
    for part, names in SCENARIOS.items():
        expected = [(name, camera) for name in names for camera in CAMERAS]
        for record, (name, camera) in zip(records[SPLITS[part]], expected, strict=True):
            height, com, surface, stable = FACTORS[name]
            assert record["factors"] == {
                "scene": names.index(name),
                "viewpoint": camera,
                "height": height,
                "com_violation": com,
                "surface_violation": surface,
                "stable": stable,
            }
            assert record["num_objects"] == height
            picture = picture_of(name, camera).crop((14, 14, 210, 210))
            picture = picture.resize((size, size), Image.Resampling.BILINEAR)
            np.testing.assert_array_equal(record["image"], np.asarray(picture))
            labels = labels_of(name, camera)[source][:, source]
            assert 7 in labels
            np.testing.assert_array_equal(record["masks"], np.where(labels == 7, 0, labels))


def test_layouts(config, source):
    """Maps in a folder of their own; archives that were unpacked one by one."""
    together = prepared(config())["train"]
    for scenario in FACTORS:
        for camera in CAMERAS:
            target = map_path(source, scenario, camera, "iseg")
            target.parent.mkdir(parents=True, exist_ok=True)
            map_path(source, scenario, camera).rename(target)
    for num_train, folder in enumerate(("splits", "recordings", "iseg"), start=5):
        (source / "archives" / folder).parent.mkdir(exist_ok=True)
        # Another number of images, so that it is not the same dataset.
        apart = prepared(config(num_examples=(num_train, 1, 1)))["train"]
        for record, same in zip(apart, together, strict=False):
            np.testing.assert_array_equal(record["masks"], same["masks"])
            np.testing.assert_array_equal(record["image"], same["image"])
        assert len(apart) == num_train
        shutil.move(source / folder, source / "archives" / folder)
    assert len(prepared(config(num_examples=(8, 1, 1)))["train"]) == 8


def test_variants(config):
    assert len(prepared(config(variant="ccs_all"))["train"]) == len(CAMERAS)
    assert len(prepared(config(variant="blocks_all"))["train"]) == 2 * len(CAMERAS)


def test_downloads(config):
    downloads = storage.open_builder(config()).downloads()
    top = "http://shapestacks-file.robots.ox.ac.uk/static/download/v1/shapestacks-"
    assert [d.url for d in downloads] == [f"{top}{n}.tar.gz" for n in ("meta", "rgb", "iseg")]
    assert all(d.md5_url == f"{d.url}.md5" and d.unpack for d in downloads)


@pytest.mark.parametrize(
    "gone,message",
    [
        ("splits", "no folder .*source/splits/default: unpack shapestacks-meta.tar.gz into"),
        ("splits/default/eval.txt", "no file .*splits/default/eval.txt"),
        ("recordings", "no folder .*recordings: unpack shapestacks-rgb.tar.gz and"),
    ],
)
def test_missing_archives(config, source, gone, message):
    path = source / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(DatasetMissingError, match=message):
        storage.prepare(config())


def cut_image(source):
    path = image_path(source, SCENARIOS["train"][1], 10)
    path.write_bytes(path.read_bytes()[:3000])


def small_image(source):
    path = image_path(source, SCENARIOS["train"][1], 10)
    path.write_bytes(encoded(scenery(0, 64, 64), "PNG"))


def cut_map(source):
    path = map_path(source, SCENARIOS["train"][1], 10)
    path.write_bytes(path.read_bytes()[:-200])


def no_map(source):
    map_path(source, SCENARIOS["train"][1], 10).unlink()


def small_map(source):
    path = map_path(source, SCENARIOS["train"][1], 10)
    path.write_bytes(encoded(Image.new("RGBA", (112, 112)), "PNG"))


def wrong_label(source):
    path = map_path(source, SCENARIOS["train"][1], 10)
    path.write_bytes(encoded(map_of(np.full((224, 224), 3, np.uint8)), "PNG"))


@pytest.mark.parametrize(
    "damage,message",
    [
        (cut_image, "cannot read image .*rgb-w=4-.*cam_10-mono-0.png"),
        (small_image, "rgb-.*cam_10-mono-0.png has 64x64 pixels, expected 224x224"),
        (cut_map, "cannot read image .*iseg-.*cam_10-mono-0.map"),
        (no_map, "no instance map .* for .*cam_10-mono-0.png: unpack shapestacks-iseg.tar.gz"),
        (small_map, "iseg-.*cam_10-mono-0.map has 112x112 pixels, expected 224x224"),
        (wrong_label, "cam_10-mono-0.map has label 3, but the tower has 2 blocks"),
    ],
)
def test_damaged_image(config, source, damage, message):
    damage(source)
    with pytest.raises(SourceError, match=message):
        storage.prepare(config())
    records = prepared(config(), skip_corrupt=True)["train"]
    assert [r["factors"]["viewpoint"] for r in records] == [1, 2, 10, 16, 1, 2, 16]
    assert storage.open_builder(config()).info.metadata["skipped_records"] == 1


def test_missing_scenario(config, source):
    shutil.rmtree(source / "recordings" / SCENARIOS["train"][0])
    with pytest.raises(SourceError, match="train.txt, name 1: there is no folder .*v=12"):
        storage.prepare(config())
    assert len(prepared(config(), skip_corrupt=True)["train"]) == len(CAMERAS)


def test_scenario_without_images(config, source):
    for camera in CAMERAS:
        image_path(source, SCENARIOS["train"][0], camera).unlink()
    with pytest.raises(SourceError, match="no rgb-.*png in .*v=12"):
        storage.prepare(config())


def test_other_list(config, source):
    (source / "splits/default/test.txt").write_text("env_blocks-hard-h=3\n")
    with pytest.raises(
        SourceError, match="test.txt, name 1: 'env_blocks-hard-h=3' is not the name of"
    ):
        storage.prepare(config())


def test_empty_split(config, source):
    (source / "splits/default/test.txt").write_text("\n")
    with pytest.raises(Exception, match="there is no record for its split 'test'"):
        storage.prepare(config())


@pytest.mark.skipif(not PUBLISHED, reason="OCGM_SHAPESTACKS_DIR names no published recordings")
def test_published_recording(config, tmp_path):
    """A real recording in each split; maps are made up if there are none."""
    folder = tmp_path / "published"
    recordings = sorted(pathlib.Path(PUBLISHED, "recordings").glob("env_*"))
    shutil.copytree(recordings[0], folder / "recordings" / recordings[0].name)
    copied = folder / "recordings" / recordings[0].name
    for part in SCENARIOS:
        write(folder / "splits" / "default" / f"{part}.txt", copied.name.encode())
    images = sorted(copied.glob("rgb-*.png"))
    cameras = sorted(int(path.name.split("cam_")[1].split("-")[0]) for path in images)
    for camera in cameras:
        if not list(copied.glob(f"iseg-*-cam_{camera}-*")):
            labels = np.full((224, 224), 1, np.uint8)
            write(map_path(folder, copied.name, camera), encoded(map_of(labels), "PNG"))
    records = prepared(config(manual_dir=str(folder)))["test"]
    assert [record["factors"]["viewpoint"] for record in records] == cameras
    for record in records:
        assert f"-h={record['num_objects']}-" in copied.name
        (path,) = copied.glob(f"rgb-*-cam_{record['factors']['viewpoint']}-*.png")
        with Image.open(path) as picture:
            small = picture.convert("RGB").crop((14, 14, 210, 210))
        small = small.resize((64, 64), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(record["image"], np.asarray(small))
