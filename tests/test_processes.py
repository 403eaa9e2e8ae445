"""What several processes agree on, with another process that is simulated."""

import jax
import numpy as np
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
