"""Archives that are unpacked whole or not at all, and only inside their directory."""

import lzma
import pathlib
import re
import shutil
import tarfile
import zipfile
import zlib

from ocgm.datasets.builders.progress import read_with_bar
from ocgm.errors import UserError
from ocgm.files import exclusive, write_errors


def target(archive: pathlib.Path) -> pathlib.Path:
    """Return the directory that an archive is unpacked to: its path without .zip, .tar or .tar.*."""
    return archive.with_name(re.sub(r"(\.tar)?\.\w+$", "", archive.name))


def unpack(archive: pathlib.Path) -> None:
    """Unpack a tar or zip file to `target`, unless that directory exists.

    If the archive holds a directory of that name and nothing else, `target` becomes that directory.

    Raises:
      UserError: if the archive is damaged or is not one, has a member that would lie or point
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
            if archive.suffix == ".zip":
                zipfile.ZipFile(file).extractall(directory)
                return
            with tarfile.open(fileobj=file) as tar:
                while (member := tar.next()) is not None:
                    tar.extract(member, directory, filter="data")
                    # Or the descriptions of a million files stay in memory; typeshed lacks it.
                    tar.members = []  # type: ignore[attr-defined]
                while tar.fileobj.read(2**20):  # To the end, where the checksum of the whole is.
                    pass
    except tarfile.FilterError as error:
        raise UserError(
            f"{archive} is not safe to unpack, nothing was unpacked: {error}"
        ) from error
    # Every error of the decompressors; an error of the disk has an `errno`.
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        EOFError,
        zlib.error,
        lzma.LZMAError,
        OSError,
    ) as e:
        if getattr(e, "errno", None) is not None:
            raise
        reason = str(e).split(":\n")[0]
        raise UserError(
            f"{archive} is damaged or no archive ({reason}): delete it and try again"
        ) from e
