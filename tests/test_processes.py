"""What several processes agree on, with another process that is simulated."""

import os
import sys
from unittest import mock

import jax
import numpy as np
import orbax.checkpoint.multihost
import pytest
from jax.experimental import multihost_utils

from ocgm import processes
from ocgm.errors import ConfigError, UserError


@pytest.fixture
def other(monkeypatch):
    """Return a function that makes this process the first of two, of which the second says `text`."""

    def say(text: str) -> None:
        content = np.frombuffer(text.encode(), np.uint8)
        answers = iter(
            [lambda own: content.size, lambda own: np.pad(content, (0, own.size - content.size))]
        )

        def gather(own):
            return np.stack([own, next(answers)(own)])

        monkeypatch.setattr(jax, "process_count", lambda: 2)
        monkeypatch.setattr(multihost_utils, "process_allgather", gather)

    return say


@pytest.mark.parametrize(
    ("own", "others", "first"),
    [("", "", ""), ("é [1, 2]", "", "é [1, 2]"), ("", "disk ü", "disk ü"), ("a", "longer", "a")],
)
def test_first_text(other, own, others, first):
    assert processes.first_text(own) == own
    other(others)
    assert processes.first_text(own) == first


def test_an_error_of_one_process_is_raised_by_all(other):
    other("process 1: OSError('disk on fire')")
    with pytest.raises(UserError, match="process 1: OSError"), processes.together():
        pass
    other("process 1: OSError('disk on fire')")
    with pytest.raises(ConfigError, match="own"), processes.together():
        raise ConfigError("own")
    other("")
    with processes.together():
        pass


@pytest.fixture
def alone(monkeypatch):
    """Make this process one of two, of which the other does not come, and let it end with `SystemExit`."""

    def nobody(*arguments, **options):
        raise jax.errors.JaxRuntimeError("DEADLINE_EXCEEDED")

    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(orbax.checkpoint.multihost, "get_barrier_sync_fn", lambda: nobody)
    monkeypatch.setattr(os, "_exit", sys.exit)


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (ConfigError("mistake"), 1, "error: process 0 of 2: mistake\n"),
        (OSError(28, "disk full"), 1, "error: process 0 of 2: [Errno 28] disk full\n"),
        (
            jax.errors.JaxRuntimeError("Gloo all-reduce failed: Connection reset\nmore"),
            1,
            "all-reduce failed: Connection reset). If another process has ended, its output says why."
            " Start all of them again with the same command to resume from the last checkpoint.\n",
        ),
        (ZeroDivisionError("a bug"), 1, "ZeroDivisionError: a bug\n"),
    ],
)
def test_a_process_with_an_error_ends_though_others_do_not(alone, error, status, text, capsys):
    with pytest.raises(SystemExit) as end, processes.ending_together():
        raise error
    err = capsys.readouterr().err
    assert end.value.code == status
    assert err.endswith(text)
    assert isinstance(error, ZeroDivisionError) or len(err.splitlines()) == 1


def test_an_error_of_all_processes_ends_them_as_usual(alone, monkeypatch):
    arrived = mock.Mock()
    monkeypatch.setattr(orbax.checkpoint.multihost, "get_barrier_sync_fn", lambda: arrived)
    with pytest.raises(ConfigError), processes.ending_together():
        raise ConfigError("mistake")
    arrived.assert_called_once()
    monkeypatch.setattr(jax, "process_count", lambda: 1)
    with pytest.raises(ZeroDivisionError), processes.ending_together():
        raise ZeroDivisionError
