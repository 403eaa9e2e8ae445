"""Progress bars for making datasets."""

import sys
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import tqdm

T = TypeVar("T")


def progress(items: Iterable[T], total: int, label: str) -> Iterator[T]:
    """Yields the items and shows their number, rate and remaining time on standard error.

    Args:
      items: what to count.
      total: number of items.
      label: text in front of the bar.
    """
    # A generator, so that the bar appears when its first item is asked for and not before.
    yield from _bar(label, total, iterable=items, unit=" images")


def bytes_bar(label: str, total: int) -> tqdm.tqdm:
    """Returns a bar for bytes, whose `update` takes how many more were read; close it in the end."""
    return _bar(label, total, unit="B", unit_scale=True)


def _bar(label: str, total: int, **options: Any) -> tqdm.tqdm:
    # A log file gets a line now and then instead of one a tenth of a second.
    interval = 0.2 if sys.stderr.isatty() else 15.0
    return tqdm.tqdm(desc=label, total=total, mininterval=interval, ncols=100, **options)
