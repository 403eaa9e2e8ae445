"""Downloads: resumed after a broken transfer, checked, and unpacked safely.

What is not complete never looks so: a transfer is NAME.part, and the contents of an archive are
outside the folder, in a hidden one next to it, until all of them are there.
"""

import bz2
import dataclasses
import errno
import gzip
import hashlib
import http.client
import io
import json
import lzma
import os
import pathlib
import re
import shutil
import stat
import sys
import tarfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, BinaryIO

from ocgm.datasets.builders.progress import bytes_bar, size_text
from ocgm.errors import UserError
from ocgm.files import exclusive, write_atomically

_BLOCK = 2**20
_TIMEOUT = 60.0  # Seconds without a byte.
# How often in a row a transfer may break before anything new has come, and the seconds to wait
# after the first time; they double.
_ATTEMPTS = 4
_FIRST_WAIT = 1.0
_UNPACKED = ".unpacked"
# Statuses of servers that have too much to do or are about to come back.
_TRANSIENT = (408, 429, 500, 502, 503, 504)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Download:
    """A file that can be downloaded.

    Attributes:
      url: where it is.
      size: about how many bytes it has, for people; 0 where nobody knows.
      sha256: its checksum; '' where none is published.
      md5_url: address of a file with its MD5 checksum; '' where there is none.
      unpack: whether it is an archive whose contents are wanted.
    """

    url: str
    size: int = 0
    sha256: str = ""
    md5_url: str = ""
    unpack: bool = False

    @property
    def name(self) -> str:
        """Name of the file."""
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.url).path)
        return pathlib.PurePosixPath(path).name


def fetch(download: Download, folder: pathlib.Path, pins: pathlib.Path) -> pathlib.Path:
    """Downloads a file, unless it is there.

    An interrupted download goes on where it stopped, if the server says that the file is still the
    same. The checksum is compared with the published one; where none is published, with that of the
    first download, which is pinned.

    Args:
      download: what.
      folder: where to; made if it is missing.
      pins: table of what was downloaded before: url, bytes, SHA-256 and name, separated by tabs
        as in TFDS' checksums.tsv.

    Returns:
      The complete file.

    Raises:
      UserError: if the server cannot be reached or does not have the file, the disk is full, or the
        checksum is not the expected one.
    """
    target = folder / download.name
    part = _Part(folder / f"{download.name}.part")
    with _disk_errors(folder, "what has come is kept, and the next call goes on from there"):
        folder.mkdir(parents=True, exist_ok=True)
        with exclusive(folder / ".lock"):
            if not target.exists():
                _transfer(download.url, part)
                _verify(download, part, pins)
                part.path.rename(target)
                part.discard()
    return target


def unpack(archive: pathlib.Path, folder: pathlib.Path) -> None:
    """Unpacks a tar or zip file, unless that was done; what it holds lies in `folder` then.

    Raises:
      UserError: if the archive is damaged or is not one, has a member that would lie or point
        outside `folder` or is not a file, or if the disk is full. Nothing is unpacked then.
    """
    unpacking, moving, mark = _places(archive, folder)
    with _disk_errors(folder, f"nothing of {archive} was unpacked"):
        folder.mkdir(parents=True, exist_ok=True)
        with exclusive(folder / ".lock"):
            if mark.exists():
                return
            if not moving.exists():
                shutil.rmtree(unpacking, ignore_errors=True)  # Of a process that was killed.
                unpacking.mkdir()
                try:
                    _extract(archive, unpacking)
                    unpacking.rename(moving)
                finally:
                    shutil.rmtree(unpacking, ignore_errors=True)
            _merge(moving, folder)
            moving.rmdir()
            mark.touch()


def unpacked(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """Returns the archives that were unpacked into a folder, and the marks that say so."""
    marks = sorted(folder.glob(f".*{_UNPACKED}"))
    return {mark.stem[1:]: mark for mark in marks}


def unfinished(folder: pathlib.Path) -> list[str]:
    """Describes the downloads and archives of a folder that were interrupted."""
    texts = []
    for path in sorted(folder.glob("*.part")):
        part = _Part(path)
        of = f" of {size_text(part.total)}" if part.total else ""
        texts.append(f"{path.stem} is half downloaded: {size_text(part.size)}{of}")
    prefix = _hidden_prefix(folder)
    for path in sorted(prefix.parent.glob(f"{prefix.name}*.*ing")):
        texts.append(f"{path.stem.removeprefix(prefix.name)} is half unpacked")
    return texts


@contextmanager
def _disk_errors(folder: pathlib.Path, comfort: str) -> Iterator[None]:
    """Tells an error of the disk in one sentence; the network's are told where they occur."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write to {folder}: {error.strerror or error}; {comfort}"
        ) from error


# ---- transfer


class _BrokenTransfer(Exception):
    """A transfer that may well succeed the next time."""


class _Part:
    """The part of a file that has come, and beside it what is known of the whole.

    Attributes:
      path: the bytes so far.
      total: bytes of the whole file; 0 if it is not known.
      validator: the server's name for this version of the file; '' if it has none. With it the
        server can be asked for the rest of this very version.
    """

    def __init__(self, path: pathlib.Path):
        self.path = path
        self._state = path.with_name(path.name + ".json")
        self.total, self.validator = 0, ""
        try:
            state = json.loads(self._state.read_text())
            self.total, self.validator = int(state["total"]), str(state["validator"])
        except (OSError, ValueError, KeyError, TypeError):
            pass  # The transfer starts from the beginning.

    @property
    def size(self) -> int:
        """Bytes that have come."""
        return self.path.stat().st_size if self.path.exists() else 0

    def begin(self, total: int, validator: str) -> None:
        """Empties the part for another version of the file."""
        self.discard()
        self.total, self.validator = total, validator
        content = json.dumps({"total": total, "validator": validator})
        write_atomically(self._state, content.encode())

    def discard(self) -> None:
        """Removes all that there is of it."""
        # The bytes first: without the state they are not gone on with, but never the other way.
        self.path.unlink(missing_ok=True)
        self._state.unlink(missing_ok=True)
        self.total, self.validator = 0, ""


def _transfer(url: str, part: _Part) -> None:
    """Brings a part to its whole size."""
    failures, furthest = 0, part.size
    while True:
        try:
            _receive(url, part)
            return
        except _BrokenTransfer as error:
            failures = 1 if part.size > furthest else failures + 1
            furthest = max(furthest, part.size)
            if failures == _ATTEMPTS:
                kept = f"; {part.path} is kept, and the next call goes on" if part.size else ""
                raise UserError(f"cannot download {url}: {error}{kept}") from error
            wait = _FIRST_WAIT * 2 ** (failures - 1)
            print(f"{url}: {error}; trying again in {wait:g} s", file=sys.stderr, flush=True)
            time.sleep(wait)


def _receive(url: str, part: _Part) -> None:
    offset = part.size if part.validator and part.total else 0
    if offset and offset == part.total:
        return
    headers = {"Range": f"bytes={offset}-", "If-Range": part.validator} if offset else {}
    try:
        response = _open(url, headers)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise UserError(f"cannot download {url}: {error}") from error
        part.discard()
        raise _BrokenTransfer("the server has fewer bytes than it said") from error
    with response:
        if response.status == 206:
            if not _continues(response, part, offset):
                part.discard()
                raise _BrokenTransfer("the file on the server has changed")
        else:
            offset = 0
            part.begin(int(response.headers.get("Content-Length") or 0), _validator(response))
        folder, missing = part.path.parent, part.total - offset
        free = shutil.disk_usage(folder).free
        if missing > free:
            raise UserError(
                f"{url} needs {size_text(missing)}, but {folder} has {size_text(free)} left"
            )
        with (
            part.path.open("ab") as file,
            closing(bytes_bar(part.path.stem, part.total, offset)) as bar,
        ):
            while block := _read(response):
                file.write(block)
                bar.update(len(block))
    if part.total and part.size != part.total:
        raise _BrokenTransfer(f"the connection ended after {part.size} of {part.total} bytes")


def _open(url: str, headers: dict[str, str]) -> http.client.HTTPResponse:
    """Sends a request; errors that may pass are `_BrokenTransfer`s."""
    try:
        return urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=_TIMEOUT
        )
    except urllib.error.HTTPError as error:
        if error.code in _TRANSIENT:
            raise _BrokenTransfer(str(error)) from error
        raise
    except urllib.error.URLError as error:
        raise _BrokenTransfer(f"no connection ({error.reason})") from error
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenTransfer(f"no answer ({_reason(error)})") from error


def _read(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read(_BLOCK)
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenTransfer(f"the connection broke ({_reason(error)})") from error


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def _continues(response: http.client.HTTPResponse, part: _Part, offset: int) -> bool:
    """Returns whether an answer is the rest of the file of which there is a part."""
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
    return (
        found is not None
        and (int(found[1]), int(found[2])) == (offset, part.total)
        # Servers that know ranges but not If-Range send the rest of whatever there is now.
        and _validator(response) in ("", part.validator)
    )


def _validator(response: http.client.HTTPResponse) -> str:
    """What If-Range takes: a strong ETag, or the date of the last change."""
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified", "")


# ---- checksums


def _verify(download: Download, part: _Part, pins: pathlib.Path) -> None:
    if download.sha256:
        _compare_published(download, part, "SHA-256", download.sha256, download.url)
    elif download.md5_url:
        md5 = _published_md5(download.md5_url)
        _compare_published(download, part, "MD5", md5, download.md5_url)
    else:
        _compare_pinned(download, part, pins)


def _compare_published(
    download: Download, part: _Part, kind: str, expected: str, source: str
) -> None:
    found = _digest(part, kind.replace("-", "").lower())
    if found != expected.lower():
        part.discard()
        raise UserError(
            f"{download.url} came with {kind} {found}, but {expected.lower()} is published"
            f"{f' at {source}' if source != download.url else ''}; the file was thrown away. "
            "Try again; if it stays so, the file is not the published one"
        )


def _published_md5(url: str) -> str:
    try:
        with _open(url, {}) as response:
            text = _read(response).decode("ascii", "replace")
    except (_BrokenTransfer, urllib.error.HTTPError) as error:
        raise UserError(f"cannot read the checksum at {url}: {error}") from error
    found = re.search(r"\b[0-9a-fA-F]{32}\b", text)
    if not found:
        raise UserError(f"there is no MD5 checksum at {url}, but: {text[:60]!r}")
    return found[0]


def _compare_pinned(download: Download, part: _Part, pins: pathlib.Path) -> None:
    found = _digest(part, "sha256")
    pinned = _read_pins(pins).get(download.url)
    if pinned is None:
        pins.parent.mkdir(parents=True, exist_ok=True)
        with pins.open("a") as file:
            file.write(f"{download.url}\t{part.size}\t{found}\t{download.name}\n")
    elif found != pinned:
        raise UserError(
            f"{download.url} has changed: it came with SHA-256 {found}, and with {pinned} when it "
            f"was downloaded first. If you trust it, delete its line in {pins}; if not, delete "
            f"{part.path}. Then call this again"
        )


def _read_pins(path: pathlib.Path) -> dict[str, str]:
    """Returns SHA-256 checksums by address."""
    pins = {}
    for number, line in enumerate(path.read_text().splitlines() if path.exists() else (), 1):
        try:
            url, _, sha256, _ = line.split("\t")
        except ValueError:
            raise UserError(
                f"line {number} of {path} is not url, bytes, SHA-256 and name, separated by tabs"
            ) from None
        pins[url] = sha256
    return pins


def _digest(part: _Part, algorithm: str) -> str:
    digest = hashlib.new(algorithm)
    label = f"checking {part.path.stem}"
    with part.path.open("rb") as file, closing(bytes_bar(label, part.size)) as bar:
        while block := file.read(_BLOCK):
            digest.update(block)
            bar.update(len(block))
    return digest.hexdigest()


# ---- archives


def _places(
    archive: pathlib.Path, folder: pathlib.Path
) -> tuple[pathlib.Path, pathlib.Path, pathlib.Path]:
    """Returns where contents are while coming, while moving, and the mark that they moved."""
    prefix = _hidden_prefix(folder)
    unpacking, moving = (
        prefix.with_name(f"{prefix.name}{archive.name}.{state}")
        for state in ("unpacking", "moving")
    )
    return unpacking, moving, folder / f".{archive.name}{_UNPACKED}"


def _hidden_prefix(folder: pathlib.Path) -> pathlib.Path:
    # Next to the folder and not in it, where builders may look for files at any depth. A link to
    # another disk is followed, since nothing can be renamed from one disk to the other.
    folder = folder.resolve()
    return folder.with_name(f".{folder.name}.")


def _extract(archive: pathlib.Path, folder: pathlib.Path) -> None:
    try:
        if zipfile.is_zipfile(archive):
            _extract_zip(archive, folder)
        else:
            _extract_tar(archive, folder)
    # All that the decompressors raise; a full disk has an `errno`.
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError) as error:
        raise _damaged(archive, error) from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise _damaged(archive, error) from error


def _damaged(archive: pathlib.Path, error: Exception) -> UserError:
    return UserError(f"{archive} is damaged or no archive ({error}): delete it and start again")


def _extract_tar(archive: pathlib.Path, folder: pathlib.Path) -> None:
    def check(member: tarfile.TarInfo, path: str) -> tarfile.TarInfo:
        _check_name(archive, member.name)
        try:
            return tarfile.data_filter(member, path)  # Links, devices, rights.
        except tarfile.FilterError as error:
            raise _unsafe(archive, member.name) from error

    with (
        closing(bytes_bar(f"unpacking {archive.name}", archive.stat().st_size)) as bar,
        _Counted(archive, bar) as file,
        _decompressed(file) as stream,
        # As a stream: looking for a member in a compressed file means reading it once more.
        tarfile.open(fileobj=stream, mode="r|") as tar,
    ):
        while (member := tar.next()) is not None:
            tar.extract(member, folder, filter=check)
            tar.members = []  # Or the descriptions of a million files stay in memory.
        while stream.read(_BLOCK):  # To the end, where the checksum of the whole is.
            pass


class _Counted(io.FileIO):
    """A file that is read, and shows how far."""

    def __init__(self, path: pathlib.Path, bar: Any):
        super().__init__(path)
        self._bar = bar

    def readinto(self, buffer: Any) -> int:
        count = super().readinto(buffer)
        self._bar.update(count)
        return count


def _decompressed(file: io.RawIOBase) -> BinaryIO:
    """Opens a compressed file; tarfile's own streams end without an error where it was cut off."""
    buffered = io.BufferedReader(file, _BLOCK)
    head = buffered.peek(6)
    if head.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=buffered)
    if head.startswith(b"BZh"):
        return bz2.BZ2File(buffered)
    if head.startswith(b"\xfd7zXZ\0"):
        return lzma.LZMAFile(buffered)
    return buffered


def _extract_zip(archive: pathlib.Path, folder: pathlib.Path) -> None:
    with zipfile.ZipFile(archive) as content:
        members = content.infolist()
        for member in members:
            _check_name(archive, member.filename)
            kind = stat.S_IFMT(member.external_attr >> 16)  # 0 if written on Windows.
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _unsafe(archive, member.filename)
        total, free = sum(member.file_size for member in members), shutil.disk_usage(folder).free
        if total > free:
            raise OSError(
                errno.ENOSPC,
                f"{archive.name} unpacks to {size_text(total)}, but {size_text(free)} are left",
            )
        with closing(bytes_bar(f"unpacking {archive.name}", total)) as bar:
            for member in members:
                content.extract(member, folder)
                bar.update(member.file_size)


def _check_name(archive: pathlib.Path, name: str) -> None:
    parts = re.split(r"[/\\]", name)
    if not parts[0] or ":" in parts[0] or ".." in parts:
        raise _unsafe(archive, name)


def _unsafe(archive: pathlib.Path, name: str) -> UserError:
    return UserError(
        f"{archive} is not safe to unpack: its member {name!r} would lie or point outside the "
        "folder, or is no plain file. Nothing was unpacked"
    )


def _merge(source: pathlib.Path, target: pathlib.Path) -> None:
    """Moves what is in one folder into another of the same disk, over what is there."""
    for entry in sorted(source.iterdir()):
        place = target / entry.name
        if entry.is_dir() and not entry.is_symlink() and place.is_dir():
            _merge(entry, place)
            entry.rmdir()
        else:
            os.replace(entry, place)
