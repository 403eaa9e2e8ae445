"""Progress bars for preparing datasets."""

import contextlib
import pathlib
import sys
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, TypeVar

import tqdm

T = TypeVar("T")


def progress(items: Iterable[T], total: int | None, label: str) -> Iterator[T]:
    """Yield items, and show their number, rate and remaining time on standard error.

    Args:
      items: the items to count.
      total: number of items; None if it is not known.
      label: text in front of the bar.
    """
    # In a generator, so that the bar appears with the first item and not before.
    with _bar(label, total, unit=" images") as bar:
        for item in items:
            # Before the item is used: a consumer that has enough does not return after the last one.
            bar.update()
            yield item


def bytes_bar(label: str, total: int, done: int = 0) -> tqdm.tqdm:
    """Return a bar for bytes, a context manager whose `update` takes the number of further bytes.

    Args:
      label: text in front of the bar.
      total: number of bytes; 0 if it is not known.
      done: number of bytes that were there before; they do not count for the rate.
    """
    return _bar(label, total or None, unit="B", unit_scale=True, initial=done)


@contextlib.contextmanager
def read_with_bar(path: pathlib.Path, label: str) -> Iterator[BinaryIO]:
    """Open a file to be read, and show a bar of the bytes read."""
    with path.open("rb") as file, bytes_bar(label, path.stat().st_size) as bar:
        yield tqdm.utils.CallbackIOWrapper(bar.update, file, "read")


def size_text(num_bytes: float) -> str:
    """Return a number of bytes as text, such as '10.5 GB'."""
    for unit in ("B", "kB", "MB"):
        if num_bytes < 999.5:
            return f"{num_bytes:.3g} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:.1f} GB"


def _bar(label: str, total: int | None, **options: Any) -> tqdm.tqdm:
    # In a log file a line now and then, instead of one every tenth of a second.
    interval = 0.2 if sys.stderr.isatty() else 15.0
    return tqdm.tqdm(desc=label, total=total, mininterval=interval, ncols=100, **options)
