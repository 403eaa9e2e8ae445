"""Reading the user's own pictures."""

import os
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from ocgm.datasets.builders import decoding, listing
from ocgm.datasets.builders.image_files import load_images
from ocgm.errors import ImageError, UserError
from ocgm.plots.figures import save_png

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def load_one(path, size=4):
    names, images, originals = load_images([path], size)
    assert len(names) == len(images) == len(originals) == 1
    return images[0], originals[0]


def test_result(tmp_path):
    Image.new("RGB", (30, 20), RED).save(tmp_path / "a.png")
    names, images, (original,) = load_images([str(tmp_path / "a.png")], 8)
    assert names == ["a"]
    assert images.shape == (1, 8, 8, 3)
    assert images.dtype == np.uint8
    assert (images == RED).all()
    assert (original.path, original.width, original.height) == (tmp_path / "a.png", 30, 20)
    assert original.mode == "RGB"
    assert original.box == (5, 0, 25, 20)


@pytest.mark.parametrize("width,height", [(9, 3), (3, 9)])
def test_centre_crop(tmp_path, width, height):
    pixels = np.full((height, width, 3), RED, np.uint8)
    pixels[height // 2 - 1 : height // 2 + 2, width // 2 - 1 : width // 2 + 2] = BLUE
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image, _ = load_one(tmp_path / "a.png", 3)
    assert (image == BLUE).all()


def test_making_smaller_averages(tmp_path):
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    Image.fromarray(board).save(tmp_path / "a.png")
    image, _ = load_one(tmp_path / "a.png", 8)
    assert abs(image.astype(int) - 127).max() <= 8  # Nearest pixels would be 0 or 255.


def test_making_larger(tmp_path):
    Image.new("RGB", (1, 1), GREEN).save(tmp_path / "a.png")
    image, _ = load_one(tmp_path / "a.png", 5)
    assert (image == GREEN).all()


def test_transparent_is_white(tmp_path):
    for mode, color in (("RGBA", (255, 0, 0, 0)), ("LA", (0, 0))):
        Image.new(mode, (6, 6), color).save(tmp_path / "a.png")
        image, original = load_one(tmp_path / "a.png")
        assert (image == 255).all()
        assert original.mode == mode
    Image.new("RGBA", (6, 6), (255, 0, 0, 128)).save(tmp_path / "a.png")
    assert (load_one(tmp_path / "a.png")[0] == (255, 127, 127)).all()


def test_transparent_palette(tmp_path):
    picture = Image.new("P", (6, 6), 1)
    picture.putpalette([*RED, *BLUE])
    picture.save(tmp_path / "opaque.png")
    assert (load_one(tmp_path / "opaque.png")[0] == BLUE).all()
    picture.save(tmp_path / "clear.png", transparency=1)
    assert (load_one(tmp_path / "clear.png")[0] == 255).all()


@pytest.mark.parametrize("value,expected", [(0, 0), (0x8000, 128), (0xFFFF, 255), (0x01FF, 1)])
def test_16_bit_grey(tmp_path, value, expected):
    Image.fromarray(np.full((6, 6), value, np.uint16)).save(tmp_path / "a.png")
    assert (load_one(tmp_path / "a.png")[0] == expected).all()


def test_other_modes(tmp_path):
    Image.new("CMYK", (6, 6), (0, 255, 255, 0)).save(tmp_path / "a.jpg")
    image, original = load_one(tmp_path / "a.jpg")
    assert original.mode == "CMYK"
    np.testing.assert_allclose(image.astype(int), np.full((4, 4, 3), RED), atol=3)
    Image.new("1", (6, 6), 1).save(tmp_path / "b.png")
    assert (load_one(tmp_path / "b.png")[0] == 255).all()
    Image.new("L", (6, 6), 77).save(tmp_path / "c.bmp")
    assert (load_one(tmp_path / "c.bmp")[0] == 77).all()


def test_exif_orientation(tmp_path):
    picture = Image.new("RGB", (40, 20), RED)
    picture.paste(BLUE, (20, 0, 40, 20))
    exif = picture.getexif()
    exif[0x0112] = 6  # The camera was turned: show it a quarter turn clockwise.
    picture.save(tmp_path / "a.jpg", exif=exif, quality=95, subsampling=0)
    image, original = load_one(tmp_path / "a.jpg", 4)
    assert (original.width, original.height) == (20, 40)
    assert image[0, 0].argmax() == 0 and image[-1, 0].argmax() == 2


def test_folders_and_files(tmp_path):
    folder = tmp_path / "pictures"
    (folder / "inside").mkdir(parents=True)
    for index, name in enumerate(["b.png", "a.JPG", "c.webp", "d.bmp", "e.jpeg"]):
        Image.new("RGB", (6, 6), (index * 20,) * 3).save(folder / name)
    (folder / "notes.txt").write_text("no picture")
    (folder / "._b.png").write_text("no picture")
    Image.new("RGB", (6, 6)).save(tmp_path / "b.png")
    names, images, originals = load_images([folder, tmp_path / "b.png"], 4)
    assert names == ["a", "b", "c", "d", "e", "b_2"]
    assert [original.path.name for original in originals[:3]] == ["a.JPG", "b.png", "c.webp"]
    assert images.shape == (6, 4, 4, 3)
    assert abs(int(images[0, 0, 0, 0]) - 20) < 3


def test_folders_in_depth(tmp_path, capsys):
    """As training reads them: hidden ones left out, links followed once."""
    for name in ("b/1.png", "a/deep/1.png", ".hidden/2.png", "a/.3.png"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (6, 6)).save(tmp_path / "in" / name)
    (tmp_path / "outside").mkdir()
    Image.new("RGB", (6, 6)).save(tmp_path / "outside" / "4.png")
    (tmp_path / "in/a/circle").symlink_to(tmp_path / "in")
    (tmp_path / "in/a/more").symlink_to(tmp_path / "outside")
    (tmp_path / "in/again").symlink_to(tmp_path / "outside")
    (tmp_path / "in/0.png").symlink_to(tmp_path / "in/b/1.png")
    (tmp_path / "in/5.png").symlink_to(tmp_path / "outside/4.png")
    (tmp_path / "in/broken.png").symlink_to(tmp_path / "nowhere.png")
    os.mkfifo(tmp_path / "in/fifo.png")
    (tmp_path / "in/folder.png").mkdir()
    (tmp_path / "in/masks").mkdir()
    Image.new("RGB", (6, 6)).save(tmp_path / "in" / "masks" / "a.png")
    names, _, originals = load_images([tmp_path / "in"], 4)
    found = [str(original.path.relative_to(tmp_path / "in")) for original in originals]
    assert found == ["a/deep/1.png", "again/4.png", "b/1.png"]
    assert names == ["1", "4", "1_2"]
    told = capsys.readouterr().err
    assert f"Ignored 2 files in {tmp_path / 'in'} that are not images" in told
    assert f"Ignored 4 links in {tmp_path / 'in'} to places that were read already" in told


def test_own_figures_are_left_out(tmp_path, capsys):
    Image.new("RGB", (6, 6)).save(tmp_path / "photo.png")
    Image.new("RGB", (6, 6)).save(tmp_path / "real_masks.png")
    for end in ("masks", "overlay", "components"):
        save_png(tmp_path / f"photo_{end}.png", Image.new("RGB", (6, 6)))
    for paths in ([tmp_path], sorted(tmp_path.glob("*.png"))):
        names, *_ = load_images(paths, 4)
        assert names == ["photo", "real_masks"]
        assert "`ocgm segment` wrote" in capsys.readouterr().err
    with pytest.raises(ImageError, match="no image given"):
        load_images([tmp_path / "photo_masks.png"], 4)


def test_long_names(tmp_path):
    """Names of output files have room for an end of their own."""
    for name in ("a" * 240, "\N{HIRAGANA LETTER A}" * 80, "a" * 200):
        Image.new("RGB", (6, 6)).save(tmp_path / f"{name}.png")
    names, images, _ = load_images([tmp_path], 4)
    assert len(set(names)) == len(images) == 3
    for name in names:
        (tmp_path / f".{name}_components.png.{'x' * 90}.tmp").touch()


def test_unreadable_name(tmp_path):
    path = os.path.join(os.fsencode(tmp_path), b"\xff.png")
    Image.new("RGB", (6, 6)).save(tmp_path / "a.png")
    os.rename(tmp_path / "a.png", path)
    names, *_ = load_images([tmp_path], 4)
    assert names == ["image"]


# ---- odd images


@pytest.mark.parametrize("name", ["exif_srational.jpg", "exif_float_in_short.png"])
def test_exif_that_cannot_be_written_back(fixtures, name):
    path = fixtures / "reports" / name
    image, original = load_one(path, 48)
    assert (original.width, original.height) == (48, 64)
    with Image.open(path) as opened:
        assert opened.size == (64, 48)
        turned = opened.convert("RGB").transpose(Image.Transpose.ROTATE_270)
    np.testing.assert_array_equal(image, np.asarray(turned.crop((0, 8, 48, 56))))


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_orientations(tmp_path, suffix, orientation):
    """The eight orientations of an asymmetric image, after the EXIF standard."""
    upright = np.zeros((32, 32, 3), np.uint8)
    upright[:16, :16], upright[:16, 16:] = RED, GREEN
    upright[16:, :16] = BLUE
    # How the camera stores what is upright, by rows and columns.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: upright.swapaxes(0, 1)[::-1],
        7: upright.swapaxes(0, 1)[::-1, ::-1],
        8: upright.swapaxes(0, 1)[:, ::-1],
    }[orientation]
    image = Image.fromarray(np.ascontiguousarray(stored))
    exif = image.getexif()
    exif[0x0112] = orientation
    options = {"lossless": True} if suffix == "webp" else {}
    options |= {"quality": 95, "subsampling": 0} if suffix == "jpg" else {}
    image.save(tmp_path / f"a.{suffix}", exif=exif, **options)
    image, _ = load_one(tmp_path / f"a.{suffix}", 32)
    middles = np.s_[8::16, 8::16]
    np.testing.assert_allclose(image[middles].astype(int), upright[middles].astype(int), atol=6)


def test_damaged_exif(tmp_path):
    """Says nothing, and the image is read as it is."""
    for block in (b"", b"Exif\0\0", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0" + b"\xff" * 50):
        Image.new("RGB", (6, 4), RED).save(tmp_path / "a.jpg", exif=block)
        image, original = load_one(tmp_path / "a.jpg")
        assert (original.width, original.height) == (6, 4)


@pytest.mark.parametrize(
    "values,expected",
    [
        (np.array([0, 0.5, 1], np.float32), [0, 128, 255]),
        (np.array([0, 100, 255], np.float32), [0, 100, 255]),
        (np.array([0, 2**15, 2**16 - 1], np.float32), [0, 128, 255]),
        (np.array([-1, 0, 3], np.float32), [0, 64, 255]),
        (np.array([0, 1, 255], np.int32), [0, 1, 255]),
        (np.array([0, 2**15, 2**16 - 1], np.int32), [0, 128, 255]),
        (np.array([0, 10**8, 2 * 10**9], np.int32), [0, 13, 255]),
        (np.array([-(10**9), 0, 10**9], np.int32), [0, 128, 255]),
        (np.array([0, 2**31, 2**32 - 1], np.uint32), [0, 128, 255]),
        (np.array([70_000, 70_000, 70_000], np.int32), [0, 0, 0]),
    ],
)
def test_grey_of_32_bits(tmp_path, values, expected):
    write_grey_tiff(tmp_path / "a.tif", np.broadcast_to(values, (3, 3)))
    image, _ = load_one(tmp_path / "a.tif", 3)
    np.testing.assert_array_equal(image, np.broadcast_to(np.array(expected)[:, None], (3, 3, 3)))


def write_grey_tiff(path, values: np.ndarray) -> None:
    """Write a TIFF file of one channel, uncompressed, of any 32-bit type; Pillow cannot write unsigned ones."""
    height, width = values.shape
    sample_format = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    tags = [(256, width), (257, height), (258, 32), (259, 1), (262, 1), (273, 8), (277, 1)]
    tags += [(278, height), (279, 4 * values.size), (339, sample_format)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    data = values.astype(values.dtype.newbyteorder("<")).tobytes()
    head = struct.pack("<2sHI", b"II", 42, 8 + len(data)) + data
    path.write_bytes(head + struct.pack("<H", len(tags)) + entries + bytes(4))


def test_mode_that_pillow_cannot_convert():
    with pytest.raises(ImageError, match="cannot read image a.tif: conversion from La"):
        decoding.to_rgb(Image.new("La", (2, 2)), "image a.tif")


def test_values_that_are_not_finite(tmp_path):
    values = np.zeros((6, 6), np.float32)
    values[2, 2] = np.nan
    Image.fromarray(values).save(tmp_path / "a.tif")
    with pytest.raises(ImageError, match="a.tif has values that are not finite"):
        load_one(tmp_path / "a.tif")


# ---- hostile images


def bomb(width: int, height: int) -> bytes:
    """A grey PNG file of zeros that is small and large in memory."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"x") + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(1, 170_000_000), (10_000, 10_000), (2**31 - 1, 2**31 - 1)])
def test_bombs_are_refused_before_they_are_read(tmp_path, recwarn, size):
    (tmp_path / "a.png").write_bytes(bomb(*size))
    tracemalloc.start()
    with pytest.raises(
        ImageError, match=r"cannot read image .*a.png: it has more than 89,478,485 pi"
    ):
        load_images([tmp_path], 4)
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()
    assert not recwarn.list


def test_only_documented_formats(fixtures, tmp_path):
    """Others, some of which start other programs, are not tried, whatever the name says."""
    message = "it is damaged, or none of BMP, JPEG, PNG, TIFF, WEBP"
    with pytest.raises(ImageError, match=f"cannot read image .*eps.png: {message}"):
        load_images([fixtures / "reports" / "eps.png"], 4)
    for format_ in ("GIF", "PPM", "TGA", "ICO", "PCX", "JPEG2000", "PDF"):
        Image.new("RGB", (16, 16)).save(tmp_path / "a.png", format=format_)
        with pytest.raises(ImageError, match=message):
            load_images([tmp_path / "a.png"], 4)


@pytest.mark.parametrize("kind", ["fifo", "device"])
def test_no_regular_file(tmp_path, kind):
    path = tmp_path / "a.png"
    os.mkfifo(path) if kind == "fifo" else path.symlink_to("/dev/zero")
    with pytest.raises(ImageError, match="cannot read image .*a.png: it is not a regular file"):
        load_images([path], 4)


def test_unreadable_folder(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied", str(tmp_path / "in"))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(ImageError, match="cannot read directory .*in: Permission denied"):
        listing.find(tmp_path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "tif"])
def test_damaged_anywhere(tmp_path, suffix):
    """Whichever bytes are damaged: an image, or a message."""
    path, rng = tmp_path / f"a.{suffix}", np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (24, 24, 3), np.uint8))
    exif = image.getexif()
    exif[0x0112], exif[0x829A] = 6, 0.01
    image.save(path, exif=exif, **({} if suffix == "bmp" else {"dpi": (72, 72)}))
    whole = path.read_bytes()
    for i in range(120):
        data = bytearray(whole[: rng.integers(len(whole))] if i % 5 == 0 else whole)
        for place in rng.integers(min(len(data), 300) + 1, size=3):
            data[place : place + 1] = rng.bytes(1)
        path.write_bytes(data)
        try:
            (loaded, _) = load_one(path)
        except ImageError as error:
            assert f"a.{suffix}" in str(error)
        else:
            assert loaded.shape == (4, 4, 3)


def test_errors(tmp_path):
    with pytest.raises(ImageError, match="no such file or directory: .*gone.png"):
        load_images([tmp_path / "gone.png"], 4)
    with pytest.raises(ImageError, match="no such file or directory: .*aaa.png"):
        load_images([tmp_path / ("a" * 300 + ".png")], 4)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match="no images in directory .*empty .looked for .bmp, .jpeg"):
        load_images([tmp_path / "empty"], 4)
    with pytest.raises(ImageError, match="no image given"):
        load_images([], 4)
    (tmp_path / "text.png").write_text("this is no picture")
    with pytest.raises(ImageError, match="cannot read image .*text.png"):
        load_images([tmp_path / "text.png"], 4)
    assert issubclass(ImageError, UserError)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp"])
@pytest.mark.parametrize("kept", [0.0, 0.02, 0.6])
def test_truncated_image(tmp_path, suffix, kept):
    path = tmp_path / f"cut.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (80, 80, 3), np.uint8)
    Image.fromarray(noise).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(ImageError, match=f"cannot read image .*cut.{suffix}"):
        load_images([path], 4)
