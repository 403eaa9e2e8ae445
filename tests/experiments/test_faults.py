"""A short part of the fault campaign; `make faults` runs all of it."""

import numpy as np
import pytest

from experiments import fault_files, fault_trials


@pytest.mark.parametrize("name", fault_files.FORMATS)
def test_files_that_are_not_mutated_are_read(tmp_path, name):
    """Otherwise the mutated ones would test nothing."""
    make, read = fault_files.FORMATS[name]
    path = tmp_path / name
    path.write_bytes(make())
    read(path)


def test_files(tmp_path):
    trials = fault_trials.file_trials(tmp_path, fault_trials.KINDS, seed=0, count=60)
    outcomes = fault_trials.survey(trials)
    assert {kind: [text for text in found if text] for kind, found in outcomes.items()} == {
        fault_trials.MUTATED: [],
        fault_trials.HOSTILE: [],
    }
    assert fault_trials.table(outcomes).startswith(
        "| Kind | Tried | Survived |\n|---|---|---|\n| mutated files | 60 | 60 |\n"
    )


def test_what_is_not_survived_is_told(capsys):
    def broken():
        raise AssertionError("no end within 3 s")

    trials = [
        fault_trials.Trial("kill", broken),
        fault_trials.Trial("kill", lambda: print("not shown")),
    ]
    outcomes = fault_trials.survey(trials)
    assert outcomes == {"kill": ["AssertionError: no end within 3 s", ""]}
    assert fault_trials.table(outcomes).endswith("| kill | 2 | 1 |")
    assert capsys.readouterr().out == "kill: AssertionError: no end within 3 s\nkill: survived\n"
    assert len(np.unique(fault_trials.KINDS)) == len(fault_trials.KINDS)
