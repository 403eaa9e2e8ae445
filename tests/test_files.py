"""Atomic writes and locks: what killed processes leave behind, and who holds a lock."""

import errno
import fcntl
import os
import re
import socket
import stat
import time

import pytest
from helpers import start

from ocgm import files
from ocgm.errors import UserError
from ocgm.files import exclusive, write_atomically


@pytest.mark.parametrize("name", ["a.json", "n" * 240 + ".png", "é" * 120 + ".png"])
def test_a_file_is_replaced_in_one_piece(tmp_path, name):
    path = tmp_path / "made" / name
    write_atomically(path, b"old")
    with path.open("rb") as reader:
        write_atomically(path, b"new")
        assert (reader.read(), path.read_bytes()) == (b"old", b"new")
    assert list(path.parent.iterdir()) == [path]


def test_a_file_has_the_permissions_of_other_files(tmp_path):
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "file", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    write_atomically(tmp_path / "file", b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(tmp_path / "file", b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_writers_with_one_process_number_do_not_collide(tmp_path, monkeypatch):
    """As in two containers that share a disk: one writer begins while the other is half done."""
    monkeypatch.setattr(os, "getpid", lambda: 7)
    fsync, inner = os.fsync, iter([True])

    def interrupted(descriptor):
        if next(inner, False):
            write_atomically(tmp_path / "file", b"second")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", interrupted)
    write_atomically(tmp_path / "file", b"first")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"first"]


def test_leftovers_are_removed_once_they_are_old(tmp_path):
    old, young, other = (
        tmp_path / name for name in (".ocgm-0123456789abcdef.tmp", ".ocgm-1.tmp", ".other.tmp")
    )
    for path in (old, young, other):
        path.write_bytes(b"half of a")
    two_days_ago = time.time() - 2 * 24 * 3600
    for path in (old, other):
        os.utime(path, (two_days_ago, two_days_ago))
    write_atomically(tmp_path / "file", b"")
    assert not old.exists() and young.exists() and other.exists()


def test_the_holder_of_a_lock_is_named(tmp_path):
    with exclusive(tmp_path / ".lock"):
        with (
            pytest.raises(UserError) as error,
            exclusive(tmp_path / ".lock", wait=False),
        ):
            pytest.fail("two holders")
        pattern = (
            r"another process is writing (.+): process (\d+) on (.+), since (\d{4}-\S+ \S+ \w+)\."
            r" Wait until it has ended, or use another directory\."
        )
        assert re.fullmatch(pattern, str(error.value))[1] == str(tmp_path)
        holder = re.fullmatch(pattern, str(error.value)).groups()[1:3]
        assert holder == (str(os.getpid()), socket.gethostname())
    with exclusive(tmp_path / ".lock", wait=False):
        pass


def test_a_killed_process_holds_no_lock(tmp_path):
    program = (
        "import sys, time\nfrom ocgm.files import exclusive\n"
        "with exclusive(sys.argv[1]):\n    print('held', flush=True)\n    time.sleep(60)"
    )
    process = start("-c", program, tmp_path / ".lock")
    try:
        assert process.stdout.readline() == "held\n"
        with (
            pytest.raises(UserError, match=f"process {process.pid} on"),
            exclusive(tmp_path / ".lock", wait=False),
        ):
            pytest.fail("two holders")
    finally:
        process.kill()
        process.communicate()
    with exclusive(tmp_path / ".lock", wait=False):
        pass


def test_a_disk_without_locks(tmp_path, monkeypatch, capsys):
    def unsupported(*arguments):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with files.exclusive(tmp_path / ".lock", wait=False):
        pass
    assert f"warning: {tmp_path} cannot be locked (No locks available)" in capsys.readouterr().err
