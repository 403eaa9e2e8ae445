"""APC 2016: a small tree in the published layout, the split of the scenes, faults."""

import pathlib
import random

import numpy as np
import pytest
from picture_files import encoded, prepared, scenery
from PIL import Image

from ocgm.data import storage
from ocgm.datasets.builders.from_files import SourceError
from ocgm.errors import DatasetMissingError

# Paths whose order as text is not that of their parts.
SCENES = [
    "shelf/crayola_24_ct/scene-0000",
    "shelf/crayola_24_ct/scene-empty",
    "shelf/crayola_24_ct-old/scene-0001",
    "tote/dr_browns_bottle_brush/scene-0000",
    "tote/dr_browns_bottle_brush/scene-0012",
]
# In the order of the paths as text: '-' is before '/'.
ORDER = [2, 0, 1, 3, 4]
FRAMES = (0, 4, 11)


def picture_of(scene: int, frame: int) -> Image.Image:
    return scenery(100 * scene + frame, 640, 480)


def mask_of(scene: int, frame: int) -> np.ndarray:
    """Mostly 0 and 255, also values between them."""
    rng = np.random.default_rng(100 * scene + frame)
    return rng.choice([0, 128, 254, 255], (480, 640), p=[0.5, 0.05, 0.05, 0.4]).astype(np.uint8)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    folder = tmp_path_factory.mktemp("apc")
    for number, scene in enumerate(SCENES):
        path = folder / "training" / scene
        (path / "HHA").mkdir(parents=True)
        for frame in FRAMES:
            image = encoded(picture_of(number, frame), "PNG")
            (path / f"frame-{frame:06}.color.png").write_bytes(image)
            (path / f"frame-{frame:06}.depth.png").write_bytes(b"not read")
            if not scene.endswith("empty"):
                (path / "masks").mkdir(exist_ok=True)
                mask = encoded(Image.fromarray(mask_of(number, frame)), "PNG")
                (path / "masks" / f"frame-{frame:06}.mask.png").write_bytes(mask)
        (path / "cam.info.txt").write_text("# Environment: shelf")
    return folder


@pytest.fixture
def config(source, new_config, tmp_path):
    def make(**changes):
        fields = {"variant": "", "num_examples": (), "image_size": 128, "manual_dir": str(source)}
        return new_config(tmp_path / "data", name="apc", **(fields | changes))

    return make


def nearest(native: int, size: int) -> np.ndarray:
    """The pixels that hold the centres; where a centre is between two pixels, Pillow's choice."""
    line = Image.fromarray(np.arange(native, dtype=np.int32)[None])
    pixels = np.asarray(line.resize((size, 1), Image.Resampling.NEAREST))[0]
    centre = (2 * np.arange(size) + 1) * native
    tie = centre % (2 * size) == 0
    assert tie.mean() < 0.1
    np.testing.assert_array_equal(pixels[~tie], (centre // (2 * size))[~tie])
    assert (abs(pixels + 0.5 - centre / (2 * size))[tie] < 0.51).all()
    return pixels


def expected_scenes() -> dict[str, list[int]]:
    order = list(ORDER)
    random.seed(0)
    random.shuffle(order)
    return {"validation": order[:1], "test": order[1:2], "train": order[2:]}


@pytest.mark.parametrize("size,width", [(128, 170), (64, 85)])
def test_records(config, size, width):
    records = prepared(config(image_size=size))
    left = (width - size) // 2
    assert size != 128 or left == 21
    rows = nearest(480, size)
    columns = nearest(640, width)[left : left + size]
    for split, scenes in expected_scenes().items():
        expected = [(scene, frame) for scene in scenes for frame in FRAMES]
        for record, (scene, frame) in zip(records[split], expected, strict=True):
            environment, name, folder = SCENES[scene].split("/")
            objects = ["crayola_24_ct", "crayola_24_ct-old", "dr_browns_bottle_brush"]
            assert record["factors"] == {
                "environment": ["shelf", "tote"].index(environment),
                "object": objects.index(name),
                "scene": scenes.index(scene),
                "frame": frame,
            }
            picture = picture_of(scene, frame).resize((width, size), Image.Resampling.BILINEAR)
            pixels = np.asarray(picture)[:, left : left + size]
            np.testing.assert_array_equal(record["image"], pixels)
            mask = mask_of(scene, frame)[rows][:, columns] == 255
            empty = folder == "scene-empty"
            np.testing.assert_array_equal(record["masks"], mask & (not empty))
            assert record["num_objects"] == (not empty)
    builder = storage.open_builder(config(image_size=size))
    assert builder.factors["environment"].names == ("shelf", "tote")
    assert builder.factors["object"].names == tuple(objects)
    metadata = builder.info.metadata
    assert metadata["environments"] == ["shelf", "tote"]
    assert metadata["objects"] == objects
    assert metadata["skipped_records"] == 0


def test_training_folder_itself(config, source):
    whole = prepared(config(num_examples=(3, 3, 2)))
    folder = prepared(config(num_examples=(3, 3, 3), manual_dir=str(source / "training")))
    assert len(whole["test"]) == 2 and len(folder["test"]) == 3
    np.testing.assert_array_equal(whole["test"][1]["image"], folder["test"][1]["image"])


def test_sizes_of_splits(config, tmp_path):
    """A tenth of the scenes, rounded down, for validation, then the test."""
    top = tmp_path / "many"
    for i in range(57):
        (top / "shelf" / f"object_{i % 7}" / f"scene-{i:04}").mkdir(parents=True)
    builder = storage.open_builder(config())
    scenes = builder.source_files(top)
    assert scenes == sorted(scenes, key=str) and len(scenes) == 57
    seen = {}
    builder._records = lambda split, part: seen.update({split: part})
    builder.splits(scenes)
    random.seed(0)
    shuffled = sorted(scenes, key=str)
    random.shuffle(shuffled)
    assert seen == {
        "validation": shuffled[:5],
        "test": shuffled[5:10],
        "train": shuffled[10:],
    }


def test_missing_scenes(config, tmp_path):
    (tmp_path / "few" / "training" / "shelf" / "ball" / "scene-0000").mkdir(parents=True)
    message = "1 folders .*few/training/ENVIRONMENT/OBJECT/scene-NNNN.* unpack training.zip"
    with pytest.raises(DatasetMissingError, match=message):
        storage.prepare(config(manual_dir=str(tmp_path / "few")))


def cut_image(scene: pathlib.Path) -> None:
    path = scene / "frame-000004.color.png"
    path.write_bytes(path.read_bytes()[:5000])


def small_image(scene: pathlib.Path) -> None:
    (scene / "frame-000004.color.png").write_bytes(encoded(scenery(0, 320, 240), "PNG"))


def no_mask(scene: pathlib.Path) -> None:
    (scene / "masks" / "frame-000004.mask.png").unlink()


def cut_mask(scene: pathlib.Path) -> None:
    path = scene / "masks" / "frame-000004.mask.png"
    path.write_bytes(path.read_bytes()[:500])


def small_mask(scene: pathlib.Path) -> None:
    path = scene / "masks" / "frame-000004.mask.png"
    path.write_bytes(encoded(Image.new("L", (320, 240)), "PNG"))


def heat_map(scene: pathlib.Path) -> None:
    """What the authors' network gives, under the name of a mask."""
    heat = Image.fromarray(np.full((480, 640), 40_000, np.uint16))
    (scene / "masks" / "frame-000004.mask.png").write_bytes(encoded(heat, "PNG"))


@pytest.mark.parametrize(
    "damage,message",
    [
        (cut_image, "cannot read image .*frame-000004.color.png"),
        (small_image, "frame-000004.color.png has 320x240 pixels, expected 640x480"),
        (no_mask, "cannot read image .*masks/frame-000004.mask.png.*No such file"),
        (cut_mask, "cannot read image .*masks/frame-000004.mask.png"),
        (small_mask, "frame-000004.mask.png has 320x240 pixels, expected 640x480"),
        (heat_map, "frame-000004.mask.png has 16 bits a pixel"),
    ],
)
def test_damaged_frame(config, source, damage, message):
    scene = next(i for i in expected_scenes()["train"] if "empty" not in SCENES[i])
    damage(source / "training" / SCENES[scene])
    with pytest.raises(SourceError, match=message):
        storage.prepare(config())
    records = prepared(config(), skip_corrupt=True)["train"]
    assert len(records) == 3 * len(FRAMES) - 1
    number = expected_scenes()["train"].index(scene)
    kept = [r["factors"]["frame"] for r in records if r["factors"]["scene"] == number]
    assert kept == [0, 11]


def test_scene_without_frames(config, source):
    scene = source / "training" / SCENES[expected_scenes()["train"][0]]
    for frame in scene.glob("*.color.png"):
        frame.unlink()
    with pytest.raises(SourceError, match=f"no frame-NNNNNN.color.png in {scene}"):
        storage.prepare(config())
    assert len(prepared(config(), skip_corrupt=True)["train"]) == 2 * len(FRAMES)
