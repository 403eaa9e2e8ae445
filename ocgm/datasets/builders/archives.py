"""Archives that are unpacked whole or not at all, and only inside their directory."""

import errno
import lzma
import pathlib
import re
import shutil
import struct
import tarfile
import zipfile
import zlib
from typing import Any, BinaryIO, NoReturn

from ocgm.datasets.builders.progress import read_with_bar, size_text
from ocgm.errors import UserError
from ocgm.files import exclusive, write_errors

_FILES_AND_DIRECTORIES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE)
# Headers that describe the next member, or all; they are read into memory, with room for a few long names.
_EXTENDED_HEADERS = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)
_MAX_HEADER_BYTES = 2**20

# What the tarfile and zipfile modules and the decompressors raise for damaged files.
_ERRORS = (
    tarfile.TarError,
    zipfile.BadZipFile,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    OSError,
    ValueError,
    OverflowError,
    RecursionError,
    struct.error,
)


def target(archive: pathlib.Path) -> pathlib.Path:
    """Return the directory that an archive is unpacked to: its path without .zip, .tar or .tar.*."""
    return archive.with_name(re.sub(r"(\.tar)?\.\w+$", "", archive.name))


def unpack(archive: pathlib.Path) -> None:
    """Unpack a tar or zip file to `target`, unless that directory exists.

    If the archive holds a directory of that name and nothing else, `target` becomes that directory.

    Raises:
      UserError: if the archive is damaged, encrypted or is not one, has a link, a device or a member that would be
        outside, or if the disk is full. Nothing is unpacked then.
    """
    directory, final = archive.parent.resolve(), target(archive)
    # Next to the directory and not in it, where builders look for files.
    temporary = directory.with_name(f".{directory.name}.{archive.name}.unpacking")
    lock = exclusive(directory / ".lock")
    with write_errors(f"to {archive.parent}", f"nothing of {archive} was unpacked"), lock:
        if final.exists():
            return
        shutil.rmtree(temporary, ignore_errors=True)  # From a process that was killed.
        try:
            temporary.mkdir()
            _extract(archive, temporary)
            inner = temporary / final.name
            (inner if [*temporary.iterdir()] == [inner] else temporary).rename(final)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _extract(archive: pathlib.Path, directory: pathlib.Path) -> None:
    try:
        with read_with_bar(archive, f"unpacking {archive.name}") as file:
            (_extract_zip if archive.suffix == ".zip" else _extract_tar)(file, directory)
    except _UnsafeError as error:
        raise UserError(
            f"{archive} is not safe to unpack, nothing was unpacked: {error}"
        ) from error
    except _ERRORS as error:
        if getattr(error, "errno", None) is not None:  # Of the disk.
            raise
        reason = str(error).split(":\n")[0]
        raise UserError(
            f"{archive} is damaged or no archive ({reason}): delete it and try again"
        ) from error
    except RuntimeError as error:  # Encrypted, or of a method that the zipfile module lacks.
        raise UserError(
            f"{archive} cannot be unpacked ({error}), nothing was unpacked: unpack it by other means"
        ) from error


def _extract_zip(file: BinaryIO, directory: pathlib.Path) -> None:
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            _check_name(name)
        size, free = sum(m.file_size for m in archive.infolist()), shutil.disk_usage(directory).free
        if size > free:
            reason = f"it unpacks to {size_text(size)}, and {size_text(free)} are free"
            raise OSError(errno.ENOSPC, reason)
        archive.extractall(directory)


def _extract_tar(file: BinaryIO, directory: pathlib.Path) -> None:
    with tarfile.open(fileobj=file, tarinfo=_Member) as tar:
        # Until Python 3.11.4 there is none, and nothing is left for it to refuse.
        tar.extraction_filter = getattr(tarfile, "data_filter", None)
        while (member := tar.next()) is not None:
            _check_name(member.name)
            tar.extract(member, directory)
            # Or the descriptions of a million files stay in memory; typeshed lacks it.
            tar.members = []  # type: ignore[attr-defined]
        while tar.fileobj.read(2**20):  # To the end, where the checksum of the whole is.
            pass


class _UnsafeError(Exception):
    """An archive that is not unpacked, though it may be intact."""


class _Member(tarfile.TarInfo):
    """A member of a tar file that is a file or directory, and whose header takes little memory.

    Links are refused, wherever they point: `tarfile.data_filter` lets members leave the directory through chains of
    them before Python 3.11.13.
    """

    def _proc_member(self, tar: tarfile.TarFile) -> Any:  # Where a subclass may look at a header.
        if self.type not in _FILES_AND_DIRECTORIES + _EXTENDED_HEADERS:
            raise _UnsafeError(f"{self.name!r} is neither a file nor a directory")
        if self.size < 0 or (self.type in _EXTENDED_HEADERS and self.size > _MAX_HEADER_BYTES):
            raise _UnsafeError(f"the header of {self.name!r} has {self.size} bytes")
        if self.type == tarfile.XGLTYPE and tar.pax_headers:
            raise _UnsafeError("it has more than one header for all files")
        return super()._proc_member(tar)  # type: ignore[misc]  # typeshed lacks it.

    def _refuse_sparse(self, *_: Any) -> NoReturn:
        raise _UnsafeError(f"{self.name!r} is a sparse file")

    _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _refuse_sparse


def _check_name(name: str) -> None:
    path = pathlib.PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise _UnsafeError(f"{name!r} would be outside of the directory")
