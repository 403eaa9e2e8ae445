"""Downloads that are resumed after an interruption, and checked before they get their name."""

import dataclasses
import errno
import hashlib
import json
import pathlib
import re
import sys
import time
from http.client import HTTPException
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from ocgm.datasets.builders.progress import bytes_bar, size_text
from ocgm.errors import UserError
from ocgm.files import exclusive, write_atomically, write_errors

_BLOCK = 2**20
_TIMEOUT = 60.0  # Seconds without a byte.
# Bytes of a file whose length the server does not tell, and of a file with a checksum.
_MAX_UNKNOWN, _MAX_CHECKSUM = 2**30, 2**16
# Attempts in a row that may fail without a new byte, and seconds to wait, which double each time.
_ATTEMPTS, _FIRST_WAIT = 4, 0.5
# Statuses of servers that are overloaded, and of a file that has become shorter.
_TRANSIENT = (408, 416, 429, 500, 502, 503, 504)
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS, errno.EIO)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Download:
    """A file that can be downloaded from `url`.

    Attributes:
      sha256: its published checksum; '' if there is none.
      md5_url: address of a file with its MD5 checksum; '' if there is none.
      unpack: whether it is an archive to unpack.
    """

    url: str
    sha256: str = ""
    md5_url: str = ""
    unpack: bool = False

    @property
    def name(self) -> str:
        """Name of the file."""
        return pathlib.PurePosixPath(urlsplit(self.url).path).name


def fetch(download: Download, directory: pathlib.Path, pins: pathlib.Path) -> pathlib.Path:
    """Download a file to a directory, unless it is there, and return its path.

    An interrupted download, NAME.part, is resumed if the server confirms that the file is the same. The
    checksum is compared with the published one and, unless the code itself has that, with that of the first verified
    download in `pins`, a table of url, bytes, SHA-256 and name, separated by tabs, as TFDS' checksums.tsv.

    Raises:
      UserError: if the server or the disk fails, the file is absurdly large, the checksum is not the expected one, or
        `pins` is damaged.
    """
    target, part = directory / download.name, directory / f"{download.name}.part"
    kept = "the bytes received are kept, and the next call resumes there"
    with write_errors(f"to {directory}", kept):
        directory.mkdir(parents=True, exist_ok=True)
        with exclusive(directory / ".lock"):
            if not target.exists():
                _transfer(download.url, part)
                _verify(download, part, pins)
                part.rename(target)
                _discard(part)
    return target


def unfinished(directory: pathlib.Path) -> list[str]:
    """Describe the downloads in a directory that are not complete."""
    parts = sorted(directory.glob("*.part"))
    return [f"{part.stem} is partly downloaded: {size_text(_size(part))}" for part in parts]


def _size(part: pathlib.Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _state(part: pathlib.Path) -> tuple[int, str]:
    """Return the size of the whole file and the name of its version for If-Range; (0, "") if unknown."""
    try:
        total, version = json.loads(pathlib.Path(f"{part}.json").read_bytes())
    except (FileNotFoundError, ValueError, TypeError):  # None, or damaged.
        return 0, ""
    return (total, version) if isinstance(total, int) and isinstance(version, str) else (0, "")


def _discard(part: pathlib.Path) -> None:
    # The bytes first: they are not resumed without a state, but must not get that of another version.
    part.unlink(missing_ok=True)
    pathlib.Path(f"{part}.json").unlink(missing_ok=True)


def _transfer(url: str, part: pathlib.Path, most: int | None = None) -> None:
    """Receive the whole file, of at most so many bytes, in several attempts if need be."""
    failures = received = 0
    while True:
        try:
            return _receive(url, part, most)
        except (OSError, HTTPException) as error:
            if getattr(error, "errno", None) in _DISK_ERRORS:
                raise
            status = getattr(error, "code", 503)
            if status == 416:  # The file on the server has become shorter.
                _discard(part)
            failures = 1 if _size(part) > received else failures + 1
            received = max(received, _size(part))
            if failures == _ATTEMPTS or status not in _TRANSIENT:
                kept = f"; {part} is kept, and the next call resumes it" if _size(part) else ""
                raise UserError(f"cannot download {url}: {error}{kept}") from error
            wait = _FIRST_WAIT * 2**failures
            print(f"{url}: {error}; trying again in {wait:g} s", file=sys.stderr, flush=True)
            time.sleep(wait)


def _receive(url: str, part: pathlib.Path, most: int | None) -> None:
    total, version = _state(part)
    offset = _size(part) if total and version else 0
    if offset and offset == total:
        return
    headers = {"Range": f"bytes={offset}-", "If-Range": version} if offset else {}
    with urlopen(Request(url, headers=headers), timeout=_TIMEOUT) as response:
        etag = response.headers.get("ETag", "")
        found = etag if etag.startswith('"') else response.headers.get("Last-Modified", "")
        rest = f"bytes {offset}-{total - 1}/{total}"
        if response.status != 206:
            offset, total = 0, response.length or 0  # 0 is unknown.
            _discard(part)
            write_atomically(f"{part}.json", json.dumps([total, found]).encode())
        # Servers that support Range but not If-Range send the rest of the present version.
        elif found not in ("", version) or response.headers.get("Content-Range") != rest:
            _discard(part)
            raise ConnectionError("the file on the server has changed")
        most = most or total or _MAX_UNKNOWN
        with part.open("ab") as file, bytes_bar(part.stem, total, offset) as bar:
            while block := response.read(_BLOCK):
                if file.tell() + len(block) > most:
                    _discard(part)
                    raise UserError(
                        f"{url} has more than {size_text(most)}: it is not the published file"
                    )
                file.write(block)
                bar.update(len(block))
    if total and _size(part) != total:
        raise ConnectionError(f"the connection ended after {_size(part)} of {total} bytes")


def _verify(download: Download, part: pathlib.Path, pins: pathlib.Path) -> None:
    expected, source = download.sha256.lower(), download.url
    if download.md5_url and not expected:
        source = download.md5_url
        expected = _published_md5(source, pathlib.Path(f"{part}.md5"))
    kind = "MD5" if len(expected) == 32 else "SHA-256"
    if expected and (found := _digest(part, kind)) != expected:
        _discard(part)
        raise UserError(
            f"{download.url} has {kind} {found}, but {expected} is published at {source}; the file "
            "was deleted. Try again; if the error remains, the file is not the published one"
        )
    if not download.sha256:  # An MD5 from the same server proves that nothing is damaged, not more.
        _compare_with_pin(download, part, pins)


def _digest(path: pathlib.Path, kind: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind.replace("-", "")).hexdigest()


def _compare_with_pin(download: Download, part: pathlib.Path, pins: pathlib.Path) -> None:
    """Compare a file with its line in the table of checksums, or add that line."""
    found = _digest(part, "SHA-256")
    with exclusive(pins.with_name(".lock")):
        lines = pins.read_bytes().split(b"\n") if pins.exists() else []
        lines = [line for line in lines if line]
        rows = [_pin(line, f"{pins}, line {number}") for number, line in enumerate(lines, 1)]
        pinned = dict(rows).get(download.url, found)
        if pinned != found:
            raise UserError(
                f"{download.url} has changed: its SHA-256 is {found}, and was {pinned} at first. If you "
                f"trust the new file, delete its line in {pins}; if not, delete {part}. Then try again"
            )
        if download.url not in dict(rows):
            line = f"{download.url}\t{_size(part)}\t{found}\t{download.name}".encode()
            write_atomically(pins, b"".join(row + b"\n" for row in [*lines, line]))


def _pin(line: bytes, place: str) -> tuple[str, str]:
    """Return URL and SHA-256 of a line of the table of checksums."""
    if match := re.fullmatch(rb"(\S+)\t\d+\t([0-9a-f]{64})\t[^\t]+", line):
        return match[1].decode(), match[2].decode()
    raise UserError(
        f"{place} is damaged: delete it, and the file whose checksum it held is checked the next time"
        " only against what is published"
    )


def _published_md5(url: str, part: pathlib.Path) -> str:
    _transfer(url, part, _MAX_CHECKSUM)
    text = part.read_text("ascii", "replace")
    _discard(part)
    if found := re.search(r"\b[0-9a-fA-F]{32}\b", text):
        return found[0].lower()
    raise UserError(f"there is no MD5 checksum at {url}, but: {text[:60]!r}")
