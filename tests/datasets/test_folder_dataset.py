"""The user's own pictures as a dataset: splits, masks, names on disk, faults."""

import contextlib
import os
import shutil

import numpy as np
import pytest
from picture_files import encoded, prepared, scenery
from PIL import Image

from ocgm.data import eval_batches, pipeline, storage
from ocgm.datasets.builders.from_files import SourceError
from ocgm.datasets.builders.image_files import Original, load_images
from ocgm.datasets.folder.masks import VOID, load_mask
from ocgm.errors import DatasetMissingError, ImageError, UserError
from ocgm.evaluation import segmentation
from ocgm.plots import palette

SPLITS = ("train", "validation", "test")


def write(path, content: bytes):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def labels_of(width: int, height: int) -> np.ndarray:
    """Labels 0, 2, 9 and 200, at random in every pixel."""
    rng = np.random.default_rng([width, height])
    return rng.choice([0, 2, 9, 200], (height, width)).astype(np.uint8)


@pytest.fixture
def source(tmp_path):
    """30 pictures of different sizes in two subfolders."""
    folder = tmp_path / "my pictures"
    for i in range(30):
        picture = scenery(i, 40 + i, 70 - i)
        name = f"{'abc'[i % 3]}/{i:02}.{('png', 'jpg', 'bmp', 'webp', 'JPEG')[i % 5]}"
        write(folder / name, encoded(picture, ("PNG", "JPEG", "BMP", "WEBP", "JPEG")[i % 5]))
    return folder


@pytest.fixture
def masked(source):
    """The same with masks."""
    for path in sorted(source.rglob("*")):
        if path.is_file():
            with Image.open(path) as picture:
                mask = Image.fromarray(labels_of(*picture.size))
            name = path.relative_to(source).with_suffix(".png")
            write(source / "masks" / name, encoded(mask, "PNG"))
    return source


@pytest.fixture
def config(new_config, tmp_path):
    def make(folder="", **changes):
        fields = {"variant": "", "num_examples": (), "image_size": 32, "manual_dir": str(folder)}
        return new_config(tmp_path / "data", name="folder", **(fields | changes))

    return make


def files(records: list[dict]) -> list[str]:
    return [record["factors"]["file"].decode() for record in records]


def test_records(source, config):
    records = prepared(config(source))
    assert {split: len(part) for split, part in records.items()} == {
        "train": 24,
        "validation": 3,
        "test": 3,
    }
    everything = [record for part in records.values() for record in part]
    on_disk = [path for path in source.rglob("*") if path.is_file()]
    assert sorted(files(everything)) == sorted(p.relative_to(source).as_posix() for p in on_disk)
    for record, name in zip(everything, files(everything), strict=True):
        _, (image,), _ = load_images([source / name], 32)
        np.testing.assert_array_equal(record["image"], image)
        assert record["num_objects"] == 0
        assert "masks" not in record


@pytest.mark.parametrize("size", [8, 65, 300])
def test_sizes(source, config, size):
    records = prepared(config(source, image_size=size, num_examples=(2, 1, 1)))
    for record in records["train"]:
        picture = Image.open(source / record["factors"]["file"].decode()).convert("RGB")
        width, height = picture.size
        side = min(width, height)
        left, upper = (width - side) // 2, (height - side) // 2
        square = picture.crop((left, upper, left + side, upper + side))
        expected = square.resize((size, size), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(record["image"], np.asarray(expected))
    assert next(eval_batches(config(source, image_size=size, num_examples=(2, 1, 1)), "test", 1))[
        "image"
    ].shape == (1, size, size, 3)


def test_split_depends_on_relative_paths_alone(source, config, tmp_path):
    before = {split: files(part) for split, part in prepared(config(source)).items()}
    moved = shutil.copytree(source, tmp_path / "elsewhere")
    for path in sorted(moved.rglob("*"), reverse=True):
        os.utime(path, (1, 1))
    after = {split: files(part) for split, part in prepared(config(moved)).items()}
    assert after == before
    # No split is in the order of the names, or the first files.
    assert before["train"] != sorted(before["train"])
    assert len({name[0] for name in before["train"][:8]}) == 3


def test_three_pictures(config, tmp_path):
    for i in range(3):
        write(tmp_path / "three" / f"{i}.png", encoded(scenery(i, 20, 20), "PNG"))
    records = prepared(config(tmp_path / "three"))
    assert [len(part) for part in records.values()] == [1, 1, 1]
    assert len({name for part in records.values() for name in files(part)}) == 3
    (tmp_path / "three" / "2.png").rename(tmp_path / "three" / "2.txt")
    with pytest.raises(SourceError, match="three has 2 images .*each of train, validation and"):
        storage.prepare(config(tmp_path / "three", variant="two"))


@pytest.mark.parametrize("validation", ["validation", "val"])
def test_split_folders(config, tmp_path, validation):
    folder = tmp_path / "splits"
    expected = {"train": [], "validation": [], "test": []}
    for split, name in (("train", "train"), ("validation", validation), ("test", "test")):
        for i in range(4 if split == "train" else 2):
            write(folder / name / "deep" / f"{i}.png", encoded(scenery(i, 20, 20), "PNG"))
            expected[split].append(f"{name}/deep/{i}.png")
    records = prepared(config(folder))
    assert {split: sorted(files(part)) for split, part in records.items()} == expected
    write(folder / "more" / "0.png", encoded(scenery(0, 20, 20), "PNG"))
    with pytest.raises(SourceError, match="1 images are outside them, such as more/0.png"):
        storage.prepare(config(folder, variant="more"))
    shutil.rmtree(folder / "more")
    shutil.rmtree(folder / validation)
    (folder / validation).mkdir()
    with pytest.raises(SourceError, match="no image in .*/validation/ or .*/val/: .* all three"):
        storage.prepare(config(folder, variant="less"))


def test_other_files_are_counted(source, config, capsys):
    write(source / "notes.txt", b"no picture")
    write(source / "a" / "Thumbs.db", b"no picture")
    write(source / ".hidden" / "1.png", b"no picture")
    write(source / "a" / "._00.png", b"no picture")
    assert len(prepared(config(source))["train"]) == 24
    assert f"Ignored 2 files in {source} that are not images" in capsys.readouterr().err


def test_masks(masked, config):
    records = prepared(config(masked))
    assert sum(map(len, records.values())) == 30
    for record in records["train"]:
        with Image.open(masked / record["factors"]["file"].decode()) as picture:
            width, height = picture.size
        side = min(width, height)
        left, upper = (width - side) // 2, (height - side) // 2
        source = np.array([int((i + 0.5) * side / 32) for i in range(32)])
        values = labels_of(width, height)[upper + source][:, left + source]
        expected = np.select([values == 2, values == 9, values == 200], [1, 2, 3])
        np.testing.assert_array_equal(record["masks"], expected)
        assert record["num_objects"] == 3
    batch = next(eval_batches(config(masked), "test", 2))
    assert batch["masks"].shape == (2, 32, 32)


def as_mode(labels: np.ndarray, mode: str) -> Image.Image:
    """A mask of the labels 0, 2, 9, 200 in one of the forms that masks can have."""
    if mode == "I;16":
        return Image.fromarray(labels.astype(np.uint16) * 300)
    if mode == "P":
        picture = Image.fromarray(labels)
        picture.putpalette(np.random.default_rng(0).integers(0, 256, 768, np.uint8).tobytes())
        return picture
    if mode == "LA":
        return Image.merge("LA", [Image.fromarray(labels), Image.new("L", labels.shape[::-1], 9)])
    colors = np.zeros((256, 3), np.uint8)
    # Order by red, then green, then blue: that of the labels.
    colors[2], colors[9], colors[200] = (0, 0, 255), (0, 9, 1), (1, 0, 0)
    picture = Image.fromarray(colors[labels])
    return picture.convert(mode)


@pytest.mark.parametrize("mode", ["I;16", "P", "LA", "RGB", "RGBA"])
def test_mask_modes(masked, config, mode):
    plain = prepared(config(masked))["train"]
    for path in (masked / "masks").rglob("*.png"):
        with Image.open(path) as mask:
            labels = np.asarray(mask)
        as_mode(labels, mode).save(path)
        assert Image.open(path).mode == mode
    for record, same in zip(prepared(config(masked, variant=mode[0]))["train"], plain, strict=True):
        np.testing.assert_array_equal(record["masks"], same["masks"])
        assert record["num_objects"] == same["num_objects"] == 3


def test_binary_and_empty_masks(masked, config):
    for i, path in enumerate(sorted((masked / "masks").rglob("*.png"))):
        with Image.open(path) as mask:
            Image.new("1", mask.size, i % 2).save(path)
    records = prepared(config(masked))["train"]
    assert {record["num_objects"] for record in records} == {0, 1}
    for record in records:
        assert (record["masks"] == record["num_objects"]).all()


def test_turned_picture(masked, config):
    """The mask of a picture that EXIF turns is upright."""
    picture = scenery(0, 60, 40)
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(masked / "a" / "turned.jpg", exif=exif)
    labels = np.zeros((60, 40), np.uint8)
    labels[:30, 20:], labels[30:, :20] = 2, 200
    write(masked / "masks/a/turned.png", encoded(Image.fromarray(labels), "PNG"))
    everything = [r for part in prepared(config(masked)).values() for r in part]
    (record,) = (r for r in everything if r["factors"]["file"] == b"a/turned.jpg")
    corners = record["masks"][[0, 0, -1, -1], [0, -1, 0, -1]]
    assert corners.tolist() == [0, 1, 2, 0]


def mask_file(path, image: Image.Image | np.ndarray, has_void: bool = False):
    """Labels of a mask of 6x6 pixels that is written to a file, and their number."""
    if isinstance(image, np.ndarray):
        np.save(path, image)
    else:
        image.save(path)
    return load_mask(path, Original(path, 6, 6, "RGB", (0, 0, 6, 6)), 6, has_void)


LABELS = np.kron(np.array([[0, 7], [255, 9]], np.uint8), np.ones((3, 3), np.uint8))
BLUE_AND_VOID = np.array([[0, 0, 255], [224, 224, 192]], np.uint8)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.uint32, np.int64, np.uint64])
def test_masks_of_npy_files(masked, config, tmp_path, dtype):
    values = LABELS > 0 if dtype is bool else LABELS.astype(dtype)
    labels, count = mask_file(tmp_path / "a.npy", values)
    assert count == (1 if dtype is bool else 3)
    np.testing.assert_array_equal(labels, np.unique(values, return_inverse=True)[1].reshape(6, 6))
    expected = prepared(config(masked))["train"]
    for path in (masked / "masks").rglob("*.png"):
        with Image.open(path) as mask:
            np.save(path.with_suffix(".npy"), np.asarray(mask).astype(np.uint8))
        path.unlink()
    records = prepared(config(masked, variant="npy"))["train"]
    for record, same in zip(records, expected, strict=True):
        np.testing.assert_array_equal(record["masks"], same["masks"])


@pytest.mark.parametrize(
    "array,message",
    [
        (LABELS.astype(np.float32), "has the shape .6, 6. and the type float32; expected integers"),
        (LABELS[..., None], "has the shape .6, 6, 1. and the type uint8; expected integers"),
        (LABELS[:3], "has 6x3 pixels, but its image .* has 6x6"),
        (LABELS.astype(np.int64) - 1, "has the label -1; 0 is the background"),
    ],
)
def test_npy_files_that_are_no_masks(tmp_path, array, message):
    with pytest.raises(ImageError, match=message):
        mask_file(tmp_path / "a.npy", array)


def test_damaged_npy_files(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.array([{}]))
    pickled = path.read_bytes()
    np.save(path, LABELS)
    whole, original = path.read_bytes(), Original(path, 6, 6, "L", (0, 0, 6, 6))
    for content in (pickled, whole[:-3], b"", b"text"):
        path.write_bytes(content)
        with pytest.raises(ImageError, match="cannot read mask .*a.npy"):
            load_mask(path, original, 6)
    rng = np.random.default_rng(0)
    for place in range(70):
        path.write_bytes(whole[:place] + rng.bytes(1) + whole[place + 1 :])
        with contextlib.suppress(ImageError):
            load_mask(path, original, 6)


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P", "L"])
def test_transparent_pixels_are_background(tmp_path, mode):
    """Whatever label or colour they have; here 100, between 7 and 255."""
    grey = Image.fromarray(np.where(LABELS == 0, np.uint8(100), LABELS))
    if mode in "PL":
        image = grey.convert(mode)
        if mode == "P":
            image.putpalette(list(range(256)) * 3)
        image.info["transparency"] = 100
    else:
        alpha = Image.fromarray(np.where(LABELS > 0, np.uint8(255), np.uint8(0)))
        image = Image.merge(mode, [grey] * (len(mode) - 1) + [alpha])
    labels, count = mask_file(tmp_path / "a.png", image)
    expected = np.select([LABELS == 7, LABELS == 9, LABELS == 255], [1, 2, 3])
    np.testing.assert_array_equal(labels, expected)
    assert count == 3


def test_transparent_mask_of_a_report(fixtures):
    path = fixtures / "reports" / "mask_rgba_transparent_white.png"
    with Image.open(path) as image:
        alpha = np.asarray(image)[..., 3]
    labels, count = load_mask(path, Original(path, 96, 64, "RGBA", (16, 0, 80, 64)), 64)
    assert count == 2
    np.testing.assert_array_equal(labels == 0, alpha[:, 16:80] == 0)


def test_mask_with_an_orientation_of_its_own(tmp_path):
    image = Image.fromarray(np.rot90(LABELS))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.png", exif=exif)
    labels, _ = load_mask(tmp_path / "a.png", Original(tmp_path, 6, 6, "L", (0, 0, 6, 6)), 6)
    np.testing.assert_array_equal(
        labels, np.select([LABELS == 7, LABELS == 9, LABELS > 9], [1, 2, 3])
    )


def test_void(fixtures, tmp_path):
    """Label 255 is an object, unless one asks that it be void."""
    path = fixtures / "reports" / "mask_void255.png"
    with Image.open(path) as image:
        values = np.asarray(image)[:, 16:80]
    original = Original(path, 96, 64, "P", (16, 0, 80, 64))
    plain, count = load_mask(path, original, 64)
    assert plain.dtype == np.uint8 and (plain[values == 255] == count).all()
    labels, fewer = load_mask(path, original, 64, True)
    assert fewer == count - 1
    np.testing.assert_array_equal(labels, np.where(values == 255, VOID, plain.astype(int)))
    # The same as colours, where pure blue is 255 as an integer and an object.
    colors = Image.fromarray(BLUE_AND_VOID[(LABELS == 255).astype(int)])
    labels, count = mask_file(tmp_path / "a.png", colors, True)
    np.testing.assert_array_equal(labels, np.where(LABELS == 255, VOID, 1))
    assert count == 1


def test_void_does_not_count(masked, config):
    for path in (masked / "masks").rglob("*.png"):
        with Image.open(path) as mask:
            labels = np.asarray(mask)
        Image.fromarray(np.where(labels == 200, 255, labels).astype(np.uint8)).save(path)
    plain = next(eval_batches(config(masked), "test", 2))
    batch = next(eval_batches(config(masked, protocol="pascal_voc"), "test", 2))
    assert (batch["num_objects"] == 2).all() and (plain["num_objects"] == 3).all()
    masks = batch["masks"].astype(int)
    np.testing.assert_array_equal(masks == VOID, plain["masks"] == 3)
    # Metrics leave out negative labels.
    segmentation.check_labels(batch["masks"], 3)
    drawn = palette.label_map(batch["masks"])
    assert (drawn[masks == VOID] == palette.PAPER_COLOR).all()
    with pytest.raises(UserError, match="has the protocols all_labels, pascal_voc, not 'coco'"):
        storage.open_builder(config(masked, protocol="coco"))


def test_few_pictures_are_evaluated(source, config, capsys):
    pipeline._print_once.cache_clear()
    for _ in range(2):
        batches = list(eval_batches(config(source), "validation", 2, 320))
        assert np.concatenate([batch["valid"] for batch in batches]).tolist() == [True] * 3 + [
            False
        ]
    assert pipeline.count_images(config(source), "validation", 320) == 3
    told = capsys.readouterr().err
    assert told.count("validation of folder has fewer than 320 images: taking all 3") == 1
    with pytest.raises(UserError, match="num_images=0, but validation of folder has 3"):
        eval_batches(config(source), "validation", 2, 0)


# ---- faults


def damaged_file(folder):
    """A picture of the training split, whose mask is beside it, and the path of that mask."""
    name = "b/01.jpg"
    return folder / name, folder / "masks" / "b" / "01.png"


def cut_picture(folder):
    path, _ = damaged_file(folder)
    path.write_bytes(path.read_bytes()[:700])


def text_picture(folder):
    damaged_file(folder)[0].write_text("this is no picture")


def cut_mask(folder):
    _, path = damaged_file(folder)
    path.write_bytes(path.read_bytes()[:60])


def small_mask(folder):
    Image.new("L", (20, 20)).save(damaged_file(folder)[1])


def smooth_mask(folder):
    path = damaged_file(folder)[1]
    with Image.open(path) as mask:
        size = mask.size
    scenery(0, *size).save(path)


def float_mask(folder):
    path = damaged_file(folder)[1]
    with Image.open(path) as mask:
        mask.convert("F").save(path, format="TIFF")


@pytest.mark.parametrize(
    "damage,message",
    [
        (cut_picture, "cannot read image .*b/01.jpg: .*truncated"),
        (text_picture, "cannot read image .*b/01.jpg"),
        (cut_mask, "cannot read mask .*masks/b/01.png"),
        (small_mask, "masks/b/01.png has 20x20 pixels, but its image .*01.jpg has 41x69"),
        (smooth_mask, r"masks/b/01.png has \d+ labels or colours, more than 63; are its edges"),
        (float_mask, "masks/b/01.png has the mode F; expected grey, a palette, or RGB colours"),
    ],
)
def test_damaged_picture(masked, config, damage, message):
    damage(masked)
    with pytest.raises(SourceError, match=f"{message}.*`ocgm data prepare folder --skip_corrupt`"):
        storage.prepare(config(masked))
    records = prepared(config(masked), skip_corrupt=True)
    assert "b/01.jpg" not in [name for part in records.values() for name in files(part)]
    assert sum(map(len, records.values())) == 29
    assert storage.open_builder(config(masked)).info.metadata["skipped_records"] == 1


@pytest.mark.parametrize("name", ["features.json", "metadata.json"])
@pytest.mark.parametrize("content", ["{", "{}", "[]", ""])
def test_damaged_files_of_a_prepared_folder(source, config, name, content):
    builder = storage.prepare(config(source))
    (builder.data_path / name).write_text(content)
    with pytest.raises(
        UserError, match=f"^{builder.data_path} is damaged: delete it and prepare it"
    ):
        list(eval_batches(config(source), "test", 2))


def test_masks_of_some(masked, config):
    (masked / "masks" / "b" / "01.png").unlink()
    (masked / "masks" / "b" / "04.png").unlink()
    message = "2 of the 30 images .* have no mask, such as b/01.jpg, b/04.JPEG, .*masks/b/01.png"
    with pytest.raises(SourceError, match=message):
        storage.prepare(config(masked))


def test_empty_folder(config, tmp_path):
    (tmp_path / "empty" / "deep").mkdir(parents=True)
    write(tmp_path / "empty" / "notes.txt", b"no picture")
    with pytest.raises(DatasetMissingError, match="there is no image .* in .*/empty"):
        storage.prepare(config(tmp_path / "empty"))


def test_links_are_followed_once(source, config, capsys):
    plain = prepared(config(source))
    (source / "circle").symlink_to(source)
    (source / "0.png").symlink_to(source / "a" / "00.png")
    (source / "broken.png").symlink_to(source / "gone.png")
    os.mkfifo(source / "fifo.png")
    records = prepared(config(source, variant="linked"))
    assert {split: files(part) for split, part in records.items()} == {
        split: files(part) for split, part in plain.items()
    }
    told = capsys.readouterr().err
    assert f"Ignored 2 files in {source} that are not images" in told
    assert f"Ignored 2 links in {source} to places that were read already" in told


def test_no_folder(config, tmp_path):
    with pytest.raises(DatasetMissingError, match="manual_dir=DIR .there is no folder .*gone"):
        storage.prepare(config(tmp_path / "gone"))
    with pytest.raises(DatasetMissingError, match="pass a directory of images, "):
        storage.prepare(config(variant="mine"))


@pytest.mark.parametrize(
    "changes,message",
    [
        ({"image_size": 7}, "image_size=7, but it must be 8 to 1024"),
        ({"image_size": 1025}, "image_size=1025, but"),
        ({"variant": "my pictures"}, "variant='my pictures', but .* letters, digits and '-'"),
        ({"variant": "../up"}, "variant='../up'"),
        ({"variant": "a" * 101}, "only letters, digits and '-', at most 100"),
        ({"sprites_path": "/f.npz"}, "folder has no sprites"),
    ],
)
def test_config_errors(source, config, changes, message):
    with pytest.raises(UserError, match=message):
        storage.open_builder(config(source, **changes))


# ---- names on disk, and coming back


def test_names(source, config, tmp_path):
    def name(*args, **changes):
        return storage.open_builder(config(*args, **changes)).builder_config.name

    default = name(source, image_size=64)
    assert default.startswith("my-pictures-")
    assert name(f"{source}/../{source.name}/", image_size=64) == default
    assert name(tmp_path / "other" / source.name, image_size=64) != default
    assert name(source) == f"{default}_32"
    assert name(source, variant="Mine") == "Mine_32"
    assert name(source, variant="Mine", image_size=64) == "Mine"
    assert name(source, variant="Mine", num_examples=(3, 1, 1)) == "Mine_32_n3_1_1"


def test_long_name(source, config, tmp_path):
    folder = source.rename(tmp_path / ("a" * 240))
    assert len(prepared(config(folder))["train"]) == 24


@pytest.mark.parametrize("kind", ["source", "masked"])
def test_without_the_folder(kind, config, request):
    """A prepared folder is opened by its name, with masks or without."""
    folder = request.getfixturevalue(kind)
    before = prepared(config(folder, variant="mine"))
    by_path = prepared(config(folder))
    shutil.rmtree(folder)
    after = [prepared(config(variant="mine")), prepared(config(folder, variant="mine"))]
    for split in SPLITS:
        for records in (*after, {split: by_path[split]}, prepared(config(folder))):
            assert files(records[split]) == files(before[split])
            for record, same in zip(records[split], before[split], strict=True):
                assert ("masks" in record) == (kind == "masked")
                np.testing.assert_array_equal(record["image"], same["image"])


@pytest.mark.parametrize("change", ["more", "content", "date", "mask"])
def test_changed_folder(masked, config, change):
    prepared(config(masked))
    write(masked / "notes.txt", b"no picture, so it does not matter")
    prepared(config(masked))
    picture, mask = damaged_file(masked)
    if change == "more":
        write(masked / "new.png", encoded(scenery(0, 20, 20), "PNG"))
        write(masked / "masks" / "new.png", encoded(Image.new("L", (20, 20)), "PNG"))
    elif change == "content":
        picture.write_bytes(picture.read_bytes() + b"\0")
    elif change == "date":
        os.utime(picture, (4_000_000_000, 4_000_000_000))
    else:
        shutil.rmtree(masked / "masks")
    with pytest.raises(
        SourceError, match="has changed since folder/my-pictures-.* delete .*variant"
    ):
        storage.prepare(config(masked))
    assert len(prepared(config(masked, variant="again"))["train"]) in (24, 25)
