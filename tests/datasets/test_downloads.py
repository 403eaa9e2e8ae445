"""Downloads from a local server that fails in the ways that servers do, and archives."""

import bz2
import contextlib
import errno
import gzip
import hashlib
import http.client
import io
import os
import pathlib
import shutil
import stat
import tarfile
import tracemalloc
import zipfile

import numpy as np
import pytest
from download_server import running

from ocgm.datasets.builders import downloads
from ocgm.datasets.builders.archives import unpack
from ocgm.datasets.builders.downloads import Download, fetch, unfinished
from ocgm.errors import UserError

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server():
    with running(CONTENT) as server:
        yield server


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(downloads, "_FIRST_WAIT", 0.0)


@pytest.fixture
def folder(tmp_path) -> pathlib.Path:
    return tmp_path / "downloads" / "some"


@pytest.fixture
def pins(tmp_path) -> pathlib.Path:
    return tmp_path / "downloads" / "checksums.tsv"


def visible(folder: pathlib.Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*") if not path.name.startswith("."))


# ---- transfer


def test_download(server, folder, pins):
    file = fetch(Download(url=server.url, sha256=SHA256.upper()), folder, pins)
    assert file == folder / "file.bin"
    assert file.read_bytes() == CONTENT
    assert visible(folder) == ["file.bin"]
    assert not pins.exists()  # A published checksum is worth more.
    fetch(Download(url=server.url, sha256=SHA256), folder, pins)
    assert server.seen == [(None, None)]


def test_broken_transfers_are_resumed(server, folder, pins):
    server.breaks = [100_000, 0, 0, 50_000, 0, 0]  # Never four times in a row without a byte.
    file = fetch(Download(url=server.url, sha256=SHA256), folder, pins)
    assert file.read_bytes() == CONTENT
    at_100, at_150 = ("bytes=100000-", '"1"'), ("bytes=150000-", '"1"')
    assert server.seen == [(None, None), at_100, at_100, at_100, at_150, at_150, at_150]


def test_interrupted_process_is_resumed(server, folder, pins, monkeypatch):
    read, calls = http.client.HTTPResponse.read, []

    def interrupted(response, size):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return read(response, size)

    monkeypatch.setattr(downloads, "_BLOCK", 60_000)
    monkeypatch.setattr(http.client.HTTPResponse, "read", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch(Download(url=server.url), folder, pins)
    assert visible(folder) == ["file.bin.part", "file.bin.part.json"]
    assert unfinished(folder) == ["file.bin is partly downloaded: 120 kB"]
    monkeypatch.undo()
    assert fetch(Download(url=server.url), folder, pins).read_bytes() == CONTENT
    assert server.seen == [(None, None), ("bytes=120000-", '"1"')]
    assert unfinished(folder) == []


def test_everything_had_come(server, folder, pins, monkeypatch):
    monkeypatch.setattr(downloads, "_verify", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        fetch(Download(url=server.url), folder, pins)
    monkeypatch.undo()
    assert fetch(Download(url=server.url), folder, pins).read_bytes() == CONTENT
    assert len(server.seen) == 1


@pytest.mark.parametrize("ranges,requests", [("ignored", 2), ("wrong", 3)])
def test_server_without_ranges(server, folder, pins, ranges, requests):
    server.ranges, server.breaks = ranges, [100_000]
    file = fetch(Download(url=server.url, sha256=SHA256), folder, pins)
    assert file.read_bytes() == CONTENT
    assert len(server.seen) == requests


def test_server_without_versions_is_not_asked_for_the_rest(server, folder, pins):
    server.etag, server.breaks = None, [100_000]
    assert fetch(Download(url=server.url), folder, pins).read_bytes() == CONTENT
    assert server.seen == [(None, None), (None, None)]


@pytest.mark.parametrize("length", [300_000, 90_000])
@pytest.mark.parametrize("ranges", ["yes", "careless"])
def test_changed_file_is_started_again(server, folder, pins, monkeypatch, ranges, length):
    server.ranges, server.breaks = ranges, [100_000, 0, 0, 0]
    with pytest.raises(UserError, match="ended after 100000 of 300000 bytes"):
        fetch(Download(url=server.url), folder, pins)
    server.content, server.etag = CONTENT[:length][::-1], '"2"'
    assert fetch(Download(url=server.url), folder, pins).read_bytes() == server.content


def test_truncated_for_ever(server, folder, pins):
    server.breaks = [200_000, 0, 0, 0]
    with pytest.raises(UserError) as error:
        fetch(Download(url=server.url), folder, pins)
    assert str(error.value) == (
        f"cannot download {server.url}: the connection ended after 200000 of 300000 bytes; "
        f"{folder}/file.bin.part is kept, and the next call resumes it"
    )
    assert len(server.seen) == 4
    assert not (folder / "file.bin").exists()


def test_length_that_is_wrong(server, folder, pins):
    server.extra = 7
    with pytest.raises(UserError, match=f"cannot download {server.url}: "):
        fetch(Download(url=server.url), folder, pins)
    assert len(server.seen) == 4
    assert not (folder / "file.bin").exists()
    server.extra = 0
    assert fetch(Download(url=server.url), folder, pins).read_bytes() == CONTENT


def test_busy_server(server, folder, pins, capsys):
    server.busy = 3
    assert fetch(Download(url=server.url), folder, pins).read_bytes() == CONTENT
    assert capsys.readouterr().err.count("503") == 3


def test_missing_file(server, folder, pins):
    url = server.url.replace("/folder/file.bin", "/missing")
    with pytest.raises(UserError, match=f"^cannot download {url}: HTTP Error 404: Not Found$"):
        fetch(Download(url=url), folder, pins)
    assert len(server.seen) == 1
    assert visible(folder) == []


def test_unreachable_server(server, folder, pins):
    url = server.url
    server.server_close()
    with pytest.raises(UserError, match=f"cannot download {url}: .*refused"):
        fetch(Download(url=url), folder, pins)


def test_full_disk(server, folder, pins, monkeypatch):
    open_path = pathlib.Path.open

    def open_full(path, mode="r", *args, **kwargs):
        file = open_path(path, mode, *args, **kwargs)
        if mode != "ab":
            return file
        full = io.FileIO(os.dup(file.fileno()), "ab")
        file.close()

        class Full(io.BufferedWriter):
            def write(self, data):
                if self.raw.tell() + len(data) > 150_000:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return super().write(data)

        return Full(full)

    monkeypatch.setattr(downloads, "_BLOCK", 60_000)
    monkeypatch.setattr(pathlib.Path, "open", open_full)
    with pytest.raises(UserError) as error:
        fetch(Download(url=server.url), folder, pins)
    assert str(error.value) == (
        f"cannot write to {folder}: No space left on device; the bytes received are kept, and the "
        "next call resumes there"
    )
    monkeypatch.undo()
    assert fetch(Download(url=server.url), folder, pins).read_bytes() == CONTENT
    assert server.seen[1] == ("bytes=120000-", '"1"')


# ---- checksums


def test_published_checksum_that_differs(server, folder, pins):
    wrong = "0" * 64
    with pytest.raises(UserError) as error:
        fetch(Download(url=server.url, sha256=wrong), folder, pins)
    assert SHA256 in str(error.value) and wrong in str(error.value)
    assert visible(folder) == []


def test_md5_file(server, folder, pins):
    server.md5 = f"{hashlib.md5(CONTENT).hexdigest()}  file.bin\n"
    download = Download(url=server.url, md5_url=f"{server.url}.md5")
    assert fetch(download, folder, pins).read_bytes() == CONTENT
    assert pins.read_text() == f"{server.url}\t300000\t{SHA256}\tfile.bin\n"
    (folder / "file.bin").unlink()
    server.content = CONTENT[::-1]
    with pytest.raises(UserError, match=f"MD5 .* is published at {server.url}.md5"):
        fetch(download, folder, pins)
    assert visible(folder) == []
    # Whoever can change the file on its way can change its MD5 checksum, but not what was pinned.
    server.md5 = f"{hashlib.md5(server.content).hexdigest()}  file.bin\n"
    with pytest.raises(
        UserError, match=f"has changed: its SHA-256 is .*, and was {SHA256} at first"
    ):
        fetch(download, folder, pins)
    assert not (folder / "file.bin").exists()


def test_file_without_length(server, folder, pins, monkeypatch):
    server.length = False
    assert fetch(Download(url=server.url), folder, pins).read_bytes() == CONTENT
    (folder / "file.bin").unlink()
    monkeypatch.setattr(downloads, "_MAX_UNKNOWN", 299_999)
    with pytest.raises(
        UserError, match=f"{server.url} has more than 300 kB: it is not the published"
    ):
        fetch(Download(url=server.url), folder, pins)
    assert visible(folder) == [] and len(server.seen) == 2


@pytest.mark.parametrize("length", [True, False])
def test_endless_checksum(server, folder, pins, length):
    server.md5, server.length = "0" * 70_000, length
    with pytest.raises(UserError, match="file.bin.md5 has more than 65.5 kB"):
        fetch(Download(url=server.url, md5_url=f"{server.url}.md5"), folder, pins)
    assert visible(folder) == ["file.bin.part", "file.bin.part.json"]


def test_md5_file_without_a_checksum(server, folder, pins):
    server.md5 = "<html>moved</html>"
    with pytest.raises(UserError, match="no MD5 checksum at .*moved"):
        fetch(Download(url=server.url, md5_url=f"{server.url}.md5"), folder, pins)
    assert not (folder / "file.bin").exists()


def test_first_download_is_pinned(server, folder, pins):
    fetch(Download(url=server.url), folder, pins)
    assert pins.read_text() == f"{server.url}\t300000\t{SHA256}\tfile.bin\n"
    (folder / "file.bin").unlink()
    fetch(Download(url=server.url), folder, pins)
    assert len(pins.read_text().splitlines()) == 1

    (folder / "file.bin").unlink()
    server.content, server.etag = CONTENT[::-1], '"2"'
    for _ in range(2):
        with pytest.raises(UserError) as error:
            fetch(Download(url=server.url), folder, pins)
        message = str(error.value)
        assert SHA256 in message and hashlib.sha256(server.content).hexdigest() in message
        assert f"delete its line in {pins}" in message
        assert not (folder / "file.bin").exists()
    pins.write_text("")
    fetch(Download(url=server.url), folder, pins)
    assert hashlib.sha256(server.content).hexdigest() in pins.read_text()


DAMAGED_LINES = [b"text", b"\xff\xfe", b"url\t5\tshort\tfile.bin", b"url\t5", b"\0" * 30]


@pytest.mark.parametrize("line", DAMAGED_LINES)
def test_damaged_table_of_checksums(server, folder, pins, line):
    fetch(Download(url=server.url), folder, pins)
    good = pins.read_bytes()
    pins.write_bytes(good + line + b"\n")
    (folder / "file.bin").unlink()
    with pytest.raises(UserError, match=f"^{pins}, line 2 is damaged: delete it"):
        fetch(Download(url=server.url), folder, pins)
    pins.write_bytes(b"\n" + good)
    assert fetch(Download(url=server.url), folder, pins).read_bytes() == CONTENT


@pytest.mark.parametrize(
    "state", [b"", b"{", b"7", b"[1]", b'["a", 2]', b"\xff", b"[300000, null]"]
)
def test_damaged_state_of_a_download(server, folder, pins, state):
    server.breaks = [100_000, 0, 0, 0]
    with pytest.raises(UserError, match="is kept"):
        fetch(Download(url=server.url), folder, pins)
    (folder / "file.bin.part.json").write_bytes(state)
    assert fetch(Download(url=server.url), folder, pins).read_bytes() == CONTENT
    assert server.seen[-1] == (None, None)


# ---- archives

FILES = {"top/a.txt": b"a" * 1000, "top/deep/b.txt": b"b", "c.txt": CONTENT}


def make_tar(path: pathlib.Path, files: dict[str, bytes] = FILES) -> pathlib.Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = {".gz": "w:gz", ".bz2": "w:bz2", ".tar": "w"}[path.suffix]
    with tarfile.open(path, mode) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def make_zip(path: pathlib.Path, files: dict[str, bytes] = FILES) -> pathlib.Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def make(path: pathlib.Path, files: dict[str, bytes] = FILES) -> pathlib.Path:
    return make_zip(path, files) if path.suffix == ".zip" else make_tar(path, files)


def files_below(folder: pathlib.Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


ARCHIVES = ["x.tar.gz", "x.tar.bz2", "x.tar", "x.zip"]


@pytest.mark.parametrize("name", ARCHIVES)
def test_unpack(tmp_path, name):
    archive = make(tmp_path / "some" / name)
    unpack(archive)
    assert files_below(archive.parent / "x") == FILES
    assert sorted(path.name for path in tmp_path.iterdir()) == ["some"]
    (archive.parent / "x" / "c.txt").unlink()
    unpack(archive)  # Once only, unless the directory was deleted.
    assert not (archive.parent / "x" / "c.txt").exists()
    shutil.rmtree(archive.parent / "x")
    unpack(archive)
    assert files_below(archive.parent / "x") == FILES


@pytest.mark.parametrize("name", ["top.tar.gz", "top.zip"])
def test_directory_of_the_same_name_is_not_doubled(tmp_path, name):
    archive = make(tmp_path / "some" / name, {"top/a.txt": b"a", "top/deep/b.txt": b"b"})
    unpack(archive)
    assert files_below(archive.parent / "top") == {"a.txt": b"a", "deep/b.txt": b"b"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["some"]


@pytest.mark.parametrize("member", ["../evil", "a/../../evil"])
def test_members_outside(tmp_path, member):
    archive = make(tmp_path / "some" / "x.tar.gz", {"good.txt": b"good", member: b"evil"})
    with pytest.raises(UserError, match="x.tar.gz is not safe to unpack.*evil"):
        unpack(archive)
    assert files_below(tmp_path) == {"some/x.tar.gz": archive.read_bytes()}


@pytest.mark.parametrize("member", ["../evil", "a/../../evil", "/tmp/evil", "..\\evil", "C:\\evil"])
@pytest.mark.parametrize("name", ["x.tar.gz", "x.zip"])
def test_nothing_is_written_outside(tmp_path, name, member):
    archive = make(tmp_path / "some" / name, {"good.txt": b"good", member: b"evil"})
    with contextlib.suppress(UserError):
        unpack(archive)
    outside = [path for path in tmp_path.rglob("*evil*") if tmp_path / "some/x" not in path.parents]
    assert outside == [] and not pathlib.Path("/tmp/evil").exists()


@pytest.mark.parametrize(
    "kind,target",
    [
        (tarfile.SYMTYPE, "../../outside"),
        (tarfile.SYMTYPE, "/etc"),
        (tarfile.LNKTYPE, "../../outside"),
        (tarfile.CHRTYPE, ""),
        (tarfile.FIFOTYPE, ""),
    ],
)
def test_links_and_devices(tmp_path, kind, target):
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as tar:
        member = tarfile.TarInfo("link")
        member.type, member.linkname = kind, target
        tar.addfile(member)
        member = tarfile.TarInfo("link/evil")
        tar.addfile(member)
    with pytest.raises(UserError, match="not safe to unpack.*'link'"):
        unpack(tmp_path / "x.tar.gz")
    assert visible(tmp_path) == ["x.tar.gz"]


def test_link_in_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        member = zipfile.ZipInfo("link")
        member.create_system, member.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(member, "/etc")
    unpack(tmp_path / "x.zip")
    assert not (tmp_path / "x" / "link").is_symlink()


def test_links_within_the_directory(tmp_path):
    """Chains of links that each look harmless can lead outside, so there are none."""
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for name, target in (("a", "."), ("a/b", "a/a/a"), ("c", "a/b/..")):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar.addfile(member)
    with pytest.raises(
        UserError, match="not safe to unpack.*'a' is neither a file nor a directory"
    ):
        unpack(tmp_path / "x.tar")
    assert visible(tmp_path) == ["x.tar"]


def header(kind: bytes, size: int, content: bytes = b"") -> bytes:
    """A header of a tar file, which says that `size` bytes follow, and what does follow."""
    member = tarfile.TarInfo("member")
    member.type, member.size = kind, size
    padding = -len(content) % 512
    return member.tobuf(tarfile.GNU_FORMAT) + content + bytes(padding)


SPARSE = b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n"
MANY = header(tarfile.XHDTYPE, 9, b"9 path=a\n") * 2000


@pytest.mark.parametrize(
    "data,reason",
    [
        (header(tarfile.XHDTYPE, 3 * 10**9), "'member' has 3000000000 bytes"),
        (header(tarfile.XGLTYPE, 3 * 10**9), "'member' has 3000000000 bytes"),
        (header(tarfile.GNUTYPE_LONGNAME, 2**30), "'member' has 1073741824 bytes"),
        (header(tarfile.XHDTYPE, -512), "'member' has -512 bytes"),
        (header(tarfile.REGTYPE, -1024), "'member' has -1024 bytes"),
        (header(tarfile.XGLTYPE, 9, b"9 path=a\n") * 2, "more than one header for all files"),
        (header(tarfile.GNUTYPE_SPARSE, 512), "'member' is neither a file nor a directory"),
        (header(tarfile.XHDTYPE, len(SPARSE), SPARSE) + header(b"0", 512, bytes(512)), "sparse"),
        (MANY, "maximum recursion depth"),
    ],
)
@pytest.mark.parametrize("compressed", [True, False])
def test_absurd_headers(tmp_path, data, reason, compressed):
    archive = tmp_path / ("x.tar.gz" if compressed else "x.tar")
    data = header(b"0", 1, b"a") + data + bytes(1024)
    archive.write_bytes(gzip.compress(data) if compressed else data)
    tracemalloc.start()
    with pytest.raises(UserError, match=reason):
        unpack(archive)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50e6
    assert visible(tmp_path) == [archive.name]


def test_long_names(tmp_path):
    """Of any format, some of which need a header of their own."""
    long = "/".join(["directory" * 20] * 5)
    for name, format_ in (("gnu", tarfile.GNU_FORMAT), ("pax", tarfile.PAX_FORMAT)):
        with tarfile.open(tmp_path / f"{name}.tar", "w", format=format_) as tar:
            for end in ("a", "b"):
                tar.addfile(tarfile.TarInfo(f"{long}/{end}"))
        unpack(tmp_path / f"{name}.tar")
        assert sorted(files_below(tmp_path / name)) == [f"{long}/a", f"{long}/b"]


def test_encrypted_zip(tmp_path, fixtures):
    archive = shutil.copy(fixtures / "reports" / "enc.zip", tmp_path)
    with pytest.raises(UserError, match="enc.zip cannot be unpacked .*is encrypted.* unpack it by"):
        unpack(pathlib.Path(archive))
    assert visible(tmp_path) == ["enc.zip"]


def test_zip_of_an_unknown_method(tmp_path):
    archive = make(tmp_path / "x.zip")
    data = bytearray(archive.read_bytes())
    for start, offset in ((b"PK\3\4", 8), (b"PK\1\2", 10)):
        place = data.index(start) + offset
        data[place : place + 2] = (97).to_bytes(2, "little")
    archive.write_bytes(data)
    with pytest.raises(
        UserError, match="x.zip cannot be unpacked .*compression method is not supp"
    ):
        unpack(archive)
    assert visible(tmp_path) == ["x.zip"]


def test_zip_that_is_larger_than_the_disk(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=300_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    archive = make(tmp_path / "x.zip")
    with pytest.raises(UserError, match="it unpacks to 301 kB, and 300 kB are free; nothing of"):
        unpack(archive)
    assert visible(tmp_path) == ["x.zip"]


@pytest.mark.parametrize("name", ["x.tar.gz", "x.tar", "x.zip"])
def test_damaged_anywhere(tmp_path, name):
    """Whichever bytes are damaged: all is unpacked, or a message says why nothing is."""
    archive, rng = make(tmp_path / name), np.random.default_rng(0)
    whole = archive.read_bytes()
    for _ in range(40):
        data = bytearray(whole)
        for place in rng.integers(min(len(data), 2000), size=3):
            data[place] = rng.integers(256)
        archive.write_bytes(data)
        shutil.rmtree(tmp_path / "x", ignore_errors=True)
        with contextlib.suppress(UserError):
            unpack(archive)
        assert set(visible(tmp_path)) <= {name, "x"}


def cut(data: bytes, name: str) -> bytes:
    """Cut an archive where a tar file looks complete: between two members."""
    opened = {"x.tar.gz": gzip, "x.tar.bz2": bz2}.get(name)
    if opened is None:
        return data[: len(data) // 2]
    whole = opened.decompress(data)
    head = opened.compress(whole[:1536], 9)  # The header and contents of the first member.
    return head[:-4] if name == "x.tar.gz" else head[:-2]


@pytest.mark.parametrize("name", ["x.tar.gz", "x.tar.bz2", "x.zip"])
def test_cut_archive(tmp_path, name):
    archive = make(tmp_path / name)
    archive.write_bytes(cut(archive.read_bytes(), name))
    with pytest.raises(UserError, match=f"{archive} is damaged or no archive .*: delete it"):
        unpack(archive)
    assert visible(tmp_path) == [name]


@pytest.mark.parametrize("name", ["x.tar.gz", "x.tar.bz2", "x.zip"])
def test_changed_byte(tmp_path, name):
    archive = make(tmp_path / name)
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 1
    archive.write_bytes(data)
    with pytest.raises(UserError, match="is damaged or no archive"):
        unpack(archive)
    assert visible(tmp_path) == [name]


def test_changed_checksum_at_the_end(tmp_path):
    archive = make(tmp_path / "x.tar.gz")
    data = bytearray(archive.read_bytes())
    data[-6] ^= 1
    archive.write_bytes(data)
    with pytest.raises(UserError, match="is damaged or no archive"):
        unpack(archive)


def test_no_archive(tmp_path):
    (tmp_path / "x.tar.gz").write_bytes(CONTENT)
    with pytest.raises(UserError, match="is damaged or no archive"):
        unpack(tmp_path / "x.tar.gz")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left")])
def test_interrupted_while_unpacking(folder, monkeypatch, error):
    archive, extract, calls = make(folder / "x.tar.gz"), tarfile.TarFile.extract, []

    def interrupted(tar, member, *args, **kwargs):
        calls.append(member)
        if len(calls) == 3:
            assert visible(folder) == ["x.tar.gz"]
            raise error
        extract(tar, member, *args, **kwargs)

    monkeypatch.setattr(tarfile.TarFile, "extract", interrupted)
    with pytest.raises((KeyboardInterrupt, UserError)) as raised:
        unpack(archive)
    if isinstance(error, OSError):
        assert str(raised.value) == (
            f"cannot write to {folder}: No space left; nothing of {archive} was unpacked"
        )
    assert visible(folder) == ["x.tar.gz"]
    assert sorted(path.name for path in folder.parent.iterdir()) == ["some"]
    unpack(archive)
    assert files_below(folder / "x") == FILES


def test_killed_while_unpacking(folder):
    archive = make(folder / "x.tar.gz")
    leftover = folder.parent / ".some.x.tar.gz.unpacking"
    leftover.mkdir(parents=True)
    (leftover / "half.txt").write_text("half")
    unpack(archive)
    assert files_below(folder / "x") == FILES
    assert not leftover.exists()
