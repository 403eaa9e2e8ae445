"""Where metrics go: the console, metrics.jsonl, figures/, and TensorBoard if it is installed."""

import json
import pathlib
import textwrap
import time
from collections.abc import Iterable

import jax
import ml_collections
import numpy as np
from PIL import Image

from ocgm.files import open_to_append
from ocgm.plots import figures
from ocgm.run_dir import Series, read_metrics

_CONSOLE_WIDTH = 100
_SECONDS_BETWEEN_LINES = 30.0
_CONSOLE_METRICS = {
    "loss": "loss",
    "reconstruction_error_per_element": "error",
    "kl": "kl",
    "beta": "beta",
    "error_weight": "weight",
}


def say(line: str) -> None:
    """Print on the first process only."""
    if jax.process_index() == 0:
        print(line, flush=True)


class RunLog:
    """Console lines, metrics and figures of a run; only the first process writes.

    Args:
      workdir: directory of the run.
      config: config of the experiment.
    """

    def __init__(self, workdir: pathlib.Path, config: ml_collections.ConfigDict):
        self._workdir = workdir
        self._writer = MetricWriter(workdir) if jax.process_index() == 0 else None
        self._progress = Progress(config.num_train_steps, config.batch_size)
        self._options: Iterable[tuple[str, object]] | None = None  # of the compiled step

    def resume(self, step: int) -> None:
        """Continue the count of minutes of the run at `step`."""
        if self._writer:
            self._progress.resume(read_metrics(self._workdir / "metrics.jsonl"), step)

    def before_step(self, options: Iterable[tuple[str, object]]) -> None:
        """Say so where the next step is compiled first, as it is for new options of the model's call."""
        if options != self._options:
            self._options = options
            say(f"compiling the train step{''.join(f', {name}={v}' for name, v in options)}")
            self._progress.compiling()

    def step(
        self, step: int, metrics: dict[str, jax.Array], wait_seconds: float, write: bool
    ) -> None:
        """Count a step, and write its metrics, for which this waits.

        The console has a line for the first step and one every half minute besides.

        Args:
          step: the number of the step.
          metrics: its metrics, on the device.
          wait_seconds: time that all steps so far have waited for data.
          write: whether to add the metrics to metrics.jsonl.
        """
        self._progress.count(wait_seconds)
        if not self._writer or not (write or self._progress.line_is_due()):
            return
        values = {name: float(value) for name, value in jax.device_get(metrics).items()}
        values |= self._progress.rates() | {"minutes": self._progress.minutes()}
        say(self._progress.format(step, values))
        if write:
            self._writer.scalars(step, {f"train/{name}": v for name, v in values.items()})
            self._progress.reset_rates()

    def write_evaluation(self, step: int, scores: dict[str, float], figure: Image.Image) -> None:
        """Write metrics and figure of an evaluation, whose time is left out of the speed."""
        if self._writer:
            self._writer.scalars(step, {f"eval/{name}": value for name, value in scores.items()})
            figures.save_png(self._workdir / "figures" / f"step_{step:08d}.png", figure)
            self._writer.images(step, {"eval/reconstruction": np.asarray(figure)})
        line = "  ".join([f"step {step:,} held-out", *(f"{k} {v:.4g}" for k, v in scores.items())])
        say(textwrap.fill(line, _CONSOLE_WIDTH, subsequent_indent="  "))
        self._progress.skip()

    def close(self) -> None:
        """Close the files."""
        if self._writer:
            self._writer.close()


class MetricWriter:
    """Appends one JSON line per call to `workdir`/metrics.jsonl and mirrors it to TensorBoard event files.

    Event files need the `tensorboard` extra; without it they are left out.

    Args:
      workdir: directory of the run.
    """

    def __init__(self, workdir: pathlib.Path):
        self._file = open_to_append(workdir / "metrics.jsonl")
        self._tensorboard = _tensorboard_writer(workdir)

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Write scalars of one step."""
        # JSON has no NaN; a value that is not finite is written as null.
        finite = {k: float(v) if np.isfinite(v) else None for k, v in values.items()}
        self._file.write(json.dumps({"step": step, **finite}) + "\n")
        if self._tensorboard:
            self._tensorboard.write_scalars(step, {k: float(v) for k, v in values.items()})

    def images(self, step: int, images: dict[str, np.ndarray]) -> None:
        """Write images, uint8 [H, W, 3], to the event files."""
        if self._tensorboard:
            self._tensorboard.write_images(step, {k: v[None] for k, v in images.items()})

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        if self._tensorboard:
            self._tensorboard.close()


def _tensorboard_writer(workdir: pathlib.Path):
    try:
        # Imports TensorFlow and tensorboard, so it is neither imported at the top nor required.
        from clu.metric_writers import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(workdir / "tensorboard"))


class Progress:
    """Speed of a run and its console line: step, loss, errors, images per second, time left.

    Args:
      num_steps: step at which the run ends.
      batch_size: number of images per step.
    """

    def __init__(self, num_steps: int, batch_size: int):
        self._num_steps, self._batch_size = num_steps, batch_size
        self._compiling, self._minutes_before = False, 0.0
        self._steps, self._seconds, self._wait = 0, 0.0, 0.0
        self._total_wait, self._line_time = 0.0, -float("inf")
        self._start = self._now = time.monotonic()

    def resume(self, series: dict[str, Series], step: int) -> None:
        """Continue the count of minutes of a run whose metrics up to `step` are given."""
        steps, minutes = series.get("train/minutes", (np.zeros(0), np.zeros(0)))
        self._minutes_before = float(np.max(minutes[steps <= step], initial=0.0))

    def minutes(self) -> float:
        """Return the time spent on the run so far, compilation and evaluation included."""
        return self._minutes_before + (time.monotonic() - self._start) / 60

    def compiling(self) -> None:
        """Leave the next step out of the speed, since it is compiled first."""
        self._compiling = True

    def skip(self) -> None:
        """Leave the time since the last call out of the speed (evaluation)."""
        self._now = time.monotonic()

    def count(self, total_wait: float) -> None:
        """Count one step; all steps so far have waited `total_wait` seconds for data."""
        last, self._now = self._now, time.monotonic()
        wait, self._total_wait = total_wait - self._total_wait, total_wait
        if self._compiling:
            self._compiling = False
            return
        self._steps += 1
        self._seconds += self._now - last
        self._wait += wait

    def line_is_due(self) -> bool:
        """Return whether the console has had no line for a while."""
        return time.monotonic() - self._line_time > _SECONDS_BETWEEN_LINES

    def rates(self) -> dict[str, float]:
        """Return the speed since `reset_rates`; empty if no step was counted."""
        if not self._steps:
            return {}
        seconds = self._seconds / self._steps
        return {
            "images_per_second": self._batch_size / seconds,
            "ms_per_step": 1e3 * seconds,
            "data_wait_share": self._wait / self._seconds,
        }

    def reset_rates(self) -> None:
        """Start to measure the speed anew."""
        self._steps, self._seconds, self._wait = 0, 0.0, 0.0

    def format(self, step: int, values: dict[str, float]) -> str:
        """Return the console line for the scalars of one step; those that the model does not have are left out."""
        self._line_time = time.monotonic()
        parts = [f"step {step:,}/{self._num_steps:,} ({step / self._num_steps:.0%})"]
        for name, label in _CONSOLE_METRICS.items():
            # The objective does not weigh the error unless its weight differs from 1.
            if name in values and (name, values[name]) != ("error_weight", 1.0):
                parts.append(f"{label} {_short(values[name])}")
        if "ms_per_step" in values:
            parts.append(f"{_short(values['images_per_second'])} img/s")
            seconds = (self._num_steps - step) * values["ms_per_step"] / 1e3
            parts.append(f"ETA {_duration(seconds)}")
        while len("  ".join(parts)) > _CONSOLE_WIDTH:
            del parts[1]  # The loss first: it is the sum of those that follow.
        return "  ".join(parts)


def _short(value: float) -> str:
    """Return a number of any size in a few characters."""
    if 1e3 <= abs(value) < 1e7:
        return f"{value:.0f}"
    return f"{value:.4g}" if 1e-3 <= abs(value) < 1e7 or value == 0.0 else f"{value:.0e}"


def _duration(seconds: float) -> str:
    """Return a duration such as 2m05s, 1h02m or 3d04h."""
    minutes, hours = seconds / 60, seconds / 3600
    if hours >= 24:
        return f"{hours // 24:.0f}d{int(hours % 24):02d}h"
    if minutes >= 60:
        return f"{minutes // 60:.0f}h{int(minutes % 60):02d}m"
    return f"{seconds // 60:.0f}m{int(seconds % 60):02d}s"
