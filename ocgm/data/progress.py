"""A progress bar for making datasets."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

import tqdm

T = TypeVar("T")


def progress(items: Iterable[T], total: int, label: str) -> Iterator[T]:
    """Yields the items and shows their number, rate and remaining time on standard error.

    Args:
      items: what to count.
      total: number of items.
      label: text in front of the bar.
    """
    # A log file gets a line now and then instead of one a tenth of a second.
    interval = 0.2 if sys.stderr.isatty() else 15.0
    # A generator, so that the bar appears when its first item is asked for and not before.
    yield from tqdm.tqdm(items, label, total, unit=" images", mininterval=interval, ncols=100)
