"""Reading the user's own pictures."""

import numpy as np
import pytest
from PIL import Image

from ocgm.datasets.builders.image_files import load_images
from ocgm.errors import ImageError, UserError

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


def test_errors(tmp_path):
    with pytest.raises(ImageError, match="no such file or directory: .*gone.png"):
        load_images([tmp_path / "gone.png"], 4)
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
