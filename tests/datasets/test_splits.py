"""Splits of datasets that have none of their own."""

import pytest

from ocgm.datasets.builders.splits import tenths


@pytest.mark.parametrize("count,held_out", [(3, 1), (19, 1), (20, 2), (395, 39)])
def test_tenths(count, held_out):
    parts = tenths(range(count))
    assert list(parts) == ["train", "validation", "test"]
    assert len(parts["validation"]) == len(parts["test"]) == held_out
    assert [*parts["validation"], *parts["test"], *parts["train"]] == list(range(count))
