"""Faults of input files: mutated, truncated and hostile ones of every format that ocgm reads."""

import functools
import gzip
import io
import os
import pathlib
import signal
import struct
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from experiments.processes import peak_mib
from ocgm import inference, run_dir
from ocgm.datasets.builders import archives, image_files, record_stream, tfrecord_writer
from ocgm.errors import UserError
from ocgm.interop import state_dicts
from ocgm.wire_format import masked_crc32c

_SECONDS = 5
_PRETRAINED = (
    pathlib.Path(inference.__file__).parent / "pretrained" / "slot_attention" / "tetrominoes"
)

Read = Callable[[pathlib.Path], object]


def _picture(suffix: str) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    Image.fromarray(pixels).save(buffer, {"jpg": "jpeg"}.get(suffix, suffix))
    return buffer.getvalue()


def _npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, step=7, w=np.ones((3, 4), np.float32))
    return buffer.getvalue()


def _tfrecord(compressed: bool) -> bytes:
    records = [
        tfrecord_writer.framed(tfrecord_writer.serialized(image=np.arange(12, dtype=np.uint8)))
        for _ in range(5)
    ]
    content = b"".join(records)
    return gzip.compress(content) if compressed else content


def _archive(suffix: str) -> bytes:
    buffer = io.BytesIO()
    if suffix == "zip":
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("folder/a.txt", b"a" * 1000)
    else:
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            member = tarfile.TarInfo("folder/a.txt")
            member.size = 1000
            archive.addfile(member, io.BytesIO(b"a" * 1000))
    return buffer.getvalue()


def _read_records(path: pathlib.Path, compressed: bool) -> None:
    def fail(error: Exception) -> None:
        raise error

    list(record_stream.read_records(path, compressed=compressed, on_corrupt=fail))


def _read_beside(path: pathlib.Path, name: str, read: Callable[[pathlib.Path], Any]) -> None:
    """Read a directory with a copy of the shipped model in which `path` replaces the file `name`."""
    for file in ("config.json", "variables.npz"):
        (path.parent / file).write_bytes((_PRETRAINED / file).read_bytes())
    path.replace(path.parent / name)
    read(path.parent)


# Name of the file -> its content and a function that reads it.
FORMATS: dict[str, tuple[Callable[[], bytes], Read]] = {
    **{
        f"picture.{suffix}": (
            functools.partial(_picture, suffix),
            lambda path: image_files.load_images([path], 16),
        )
        for suffix in ("png", "jpg", "bmp", "webp")
    },
    "weights.npz": (_npz, state_dicts.read),
    "records.tfrecord": (
        functools.partial(_tfrecord, False),
        functools.partial(_read_records, compressed=False),
    ),
    "records.tfrecord.gz": (
        functools.partial(_tfrecord, True),
        functools.partial(_read_records, compressed=True),
    ),
    "archive.zip": (functools.partial(_archive, "zip"), archives.unpack),
    "archive.tar.gz": (functools.partial(_archive, "tar"), archives.unpack),
    "metrics.jsonl": (
        lambda: b'{"step": 1, "train/loss": 2.5}\n' * 20,
        run_dir.read_metrics,
    ),
    "export_config": (
        (_PRETRAINED / "config.json").read_bytes,
        lambda path: _read_beside(path, "config.json", inference.load),
    ),
    "export_variables": (
        (_PRETRAINED / "variables.npz").read_bytes,
        lambda path: _read_beside(path, "variables.npz", inference.load),
    ),
}


def mutate(folder: pathlib.Path, rng: np.random.Generator) -> None:
    """Read a file with some changes at random places: it is read, or the error names what is wrong."""
    name = rng.choice(list(FORMATS))
    make, read = FORMATS[name]
    content = bytearray(make())
    how = rng.choice(["flip", "cut", "repeat", "zero"])
    first, last = sorted(rng.integers(len(content) + 1, size=2))
    if how == "flip":
        for i in rng.integers(len(content), size=rng.integers(1, 9)):
            content[i] ^= 1 << rng.integers(8)
    elif how == "cut":
        del content[first:last]
    elif how == "repeat":
        content[first:first] = content[first:last]
    else:
        content[first:last] = bytes(last - first)
    path = folder / name
    path.write_bytes(content)
    _read(path, read, f"{name}: {how}")


def _read(path: pathlib.Path, read: Read, what: str) -> bool:
    """Read a file within some seconds, and return whether it could be read.

    Raises:
      AssertionError: there was an error that users see as a traceback, or no end.
    """

    def too_late(number: int, frame: object) -> None:
        raise TimeoutError(f"no end within {_SECONDS} s")

    previous = signal.signal(signal.SIGALRM, too_late)
    signal.alarm(_SECONDS)
    try:
        read(path)
        return True
    except UserError as error:
        assert str(error), f"{what}: an error without text"
        return False
    except Exception as error:
        raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


# ---- files that somebody made on purpose


def _wide_png() -> bytes:
    """Return a picture of 1 x 170,000,000 pixels in 100 bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    header = struct.pack(">IIBBBBB", 1, 170_000_000, 8, 2, 0, 0, 0)
    parts = (b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def _npz_bomb() -> bytes:
    """Return a small npz file whose table of contents has an array of 3 GiB."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w.npy", bytes(2**20))
        archive.getinfo("w.npy").file_size = 3 * 2**30
    return buffer.getvalue()


def _endless_record() -> bytes:
    length = struct.pack("<Q", 2**40)
    record = length + struct.pack("<I", masked_crc32c(length)) + bytes(1000)
    return gzip.compress(record)


def _tar_with_link(kind: bytes, target: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        link = tarfile.TarInfo("folder/link")
        link.type, link.linkname = kind, target
        archive.addfile(link)
        inside = tarfile.TarInfo("folder/link/a.txt")
        inside.size = 1
        archive.addfile(inside, io.BytesIO(b"a"))
    return buffer.getvalue()


def _zip_outside() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../../outside.txt", b"a")
    return buffer.getvalue()


# What it is -> name, content and reader; none may be read, nor take long or much memory.
HOSTILE: dict[str, tuple[str, Callable[[], bytes], Read]] = {
    "a picture of 170 million pixels": ("wide.png", _wide_png, FORMATS["picture.png"][1]),
    "weights that unpack to 3 GiB": ("bomb.npz", _npz_bomb, state_dicts.read),
    "a record of 1 TiB": ("long.gz", _endless_record, FORMATS["records.tfrecord.gz"][1]),
    "PostScript as .png": (
        "eps.png",
        lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        FORMATS["picture.png"][1],
    ),
    "a link to the outside": (
        "a.tar.gz",
        functools.partial(_tar_with_link, tarfile.SYMTYPE, "/"),
        archives.unpack,
    ),
    "a hard link to the outside": (
        "b.tar.gz",
        functools.partial(_tar_with_link, tarfile.LNKTYPE, "../../a.txt"),
        archives.unpack,
    ),
    "a link up and down": (
        "c.tar.gz",
        functools.partial(_tar_with_link, tarfile.SYMTYPE, "../folder/../.."),
        archives.unpack,
    ),
}


def refuse(folder: pathlib.Path, what: str) -> None:
    """Refuse a hostile file, soon and in little memory."""
    name, make, read = HOSTILE[what]
    path = folder / name
    path.write_bytes(make())
    _check_refused(path, read, what)


def refuse_special(folder: pathlib.Path, what: str) -> None:
    """Refuse a picture that is no file."""
    path = folder / "special.png"
    if what == "a pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    _check_refused(path, FORMATS["picture.png"][1], what)


def _check_refused(path: pathlib.Path, read: Read, what: str) -> None:
    before, start = peak_mib(), time.monotonic()
    assert not _read(path, read, what), f"{what} was read"
    assert time.monotonic() - start < 5, f"{what}: took {time.monotonic() - start:.0f} s"
    assert peak_mib() - before < 300, f"{what}: took {peak_mib() - before:.0f} MiB"
