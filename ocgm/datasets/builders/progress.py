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
    with _bar(label, total, unit=" images") as bar:
        for item in items:
            # Before it is used: whoever has enough does not come back after the last one.
            bar.update()
            yield item


def bytes_bar(label: str, total: int, done: int = 0) -> tqdm.tqdm:
    """Returns a bar for bytes, whose `update` takes how many more were read; close it in the end.

    Args:
      label: text in front of the bar.
      total: number of bytes; 0 if it is not known.
      done: how many of them were there before; they do not count for the rate.
    """
    return _bar(label, total or None, unit="B", unit_scale=True, initial=done)


def size_text(num_bytes: int) -> str:
    """Returns a number of bytes for people: '10.5 GB'."""
    for unit in ("B", "kB", "MB"):
        if num_bytes < 999.5:
            return f"{num_bytes:.3g} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:.1f} GB"


def _bar(label: str, total: int | None, **options: Any) -> tqdm.tqdm:
    # A log file gets a line now and then instead of one a tenth of a second.
    interval = 0.2 if sys.stderr.isatty() else 15.0
    return tqdm.tqdm(desc=label, total=total, mininterval=interval, ncols=100, **options)
