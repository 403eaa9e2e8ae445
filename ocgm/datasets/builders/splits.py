"""Splits of datasets that have none of their own."""

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


def tenths(items: Sequence[Item]) -> dict[str, Sequence[Item]]:
    """Split items: one tenth, but at least one, each for validation and test, the rest to train."""
    tenth = max(1, len(items) // 10)
    return {
        "train": items[2 * tenth :],
        "validation": items[:tenth],
        "test": items[tenth : 2 * tenth],
    }
