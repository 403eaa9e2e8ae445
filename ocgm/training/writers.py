"""Where metrics go: the console, metrics.jsonl, and TensorBoard if it is installed."""

import json
import pathlib
import time

import numpy as np


class MetricWriter:
    """Appends one JSON line a call to `workdir`/metrics.jsonl and mirrors it to TensorBoard event files.

    Event files need the `tensorboard` extra; without it they are left out.

    Args:
      workdir: the run's folder.
    """

    def __init__(self, workdir: pathlib.Path):
        path = workdir / "metrics.jsonl"
        # A killed run may have left half a line.
        torn = path.exists() and not path.read_bytes().endswith(b"\n")
        self._file = open(path, "a", buffering=1)
        if torn and path.stat().st_size:
            self._file.write("\n")
        self._tensorboard = _tensorboard_writer(workdir)

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Write scalars of one step."""
        # JSON has no NaN; a value that is not finite is written as null.
        finite = {k: float(v) if np.isfinite(v) else None for k, v in values.items()}
        self._file.write(json.dumps({"step": step, **finite}) + "\n")
        if self._tensorboard:
            self._tensorboard.write_scalars(step, {k: float(v) for k, v in values.items()})

    def images(self, step: int, images: dict[str, np.ndarray]) -> None:
        """Write pictures, uint8 [H, W, 3], to the event files."""
        if self._tensorboard:
            self._tensorboard.write_images(step, {k: v[None] for k, v in images.items()})

    def close(self) -> None:
        self._file.close()
        if self._tensorboard:
            self._tensorboard.close()


class NullWriter:
    """Takes what `MetricWriter` takes and writes nothing."""

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Write nothing."""

    def images(self, step: int, images: dict[str, np.ndarray]) -> None:
        """Write nothing."""

    def close(self) -> None:
        """Nothing to close."""


def _tensorboard_writer(workdir: pathlib.Path):
    try:
        # Imports TensorFlow and tensorboard, so it is neither imported at the top nor required.
        from clu.metric_writers import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(workdir / "tensorboard"))


class ProgressLine:
    """Speed and the console line: step, loss, errors, images a second, time left.

    Args:
      num_steps: step at which the run ends.
      batch_size: images a step.
    """

    def __init__(self, num_steps: int, batch_size: int):
        self._num_steps, self._batch_size = num_steps, batch_size
        self._compiling, self._minutes_before = True, 0.0
        self._steps, self._seconds, self._wait = 0, 0.0, 0.0
        self._start = self._now = time.monotonic()

    def resume(self, series: dict[str, tuple[np.ndarray, np.ndarray]], step: int) -> None:
        """Go on counting the time of a run whose metrics up to `step` are given as (steps, values)."""
        steps, minutes = series.get("train/minutes", (np.zeros(0), np.zeros(0)))
        self._minutes_before = float(np.max(minutes[steps <= step], initial=0.0))

    def minutes(self) -> float:
        """Time spent on the run so far, compilation and evaluation included."""
        return self._minutes_before + (time.monotonic() - self._start) / 60

    def skip(self) -> None:
        """Leave the time since the last call out of the speed (evaluation)."""
        self._now = time.monotonic()

    def count(self, wait_seconds: float) -> None:
        """Count one step, in which the loop waited so long for data."""
        last, self._now = self._now, time.monotonic()
        if self._compiling:  # The first step compiles; its time says nothing of the others'.
            self._compiling = False
            return
        self._steps += 1
        self._seconds += self._now - last
        self._wait += wait_seconds

    def rates(self) -> dict[str, float]:
        """Speed since the last call; empty where nothing was counted."""
        if not self._steps:
            return {}
        seconds = self._seconds / self._steps
        rates = {
            "images_per_second": self._batch_size / seconds,
            "ms_per_step": 1e3 * seconds,
            "data_wait_share": self._wait / self._seconds,
        }
        self._steps, self._seconds, self._wait = 0, 0.0, 0.0
        return rates

    def format(self, step: int, values: dict[str, float]) -> str:
        """The console line for the scalars of one step."""
        parts = [
            f"step {step:,}/{self._num_steps:,}",
            f"loss {values['loss']:.1f}",
            f"error/element {values['reconstruction_error_per_element']:.4f}",
            f"kl {values['kl']:.1f}",
            f"beta {values['beta']:.3g}",
        ]
        if "ms_per_step" in values:
            seconds = round((self._num_steps - step) * values["ms_per_step"] / 1e3)
            parts.append(f"{values['images_per_second']:.0f} images/s")
            parts.append(f"data wait {values['data_wait_share']:.1%}")
            parts.append(f"ETA {seconds // 3600}:{seconds % 3600 // 60:02d}:{seconds % 60:02d}")
        return "  ".join(parts)
