"""Where metrics go: the console, metrics.jsonl, figures/, and TensorBoard if it is installed."""

import json
import pathlib
import time

import jax
import numpy as np
from PIL import Image

from ocgm.plots import figures
from ocgm.run_dir import Series, read_metrics


def say(line: str) -> None:
    """Print on the first process only."""
    if jax.process_index() == 0:
        print(line, flush=True)


class RunLog:
    """Console lines, metrics and figures of a run; only the first process writes.

    Args:
      workdir: directory of the run.
      num_steps: step at which the run ends.
      batch_size: number of images per step.
    """

    def __init__(self, workdir: pathlib.Path, num_steps: int, batch_size: int):
        self._workdir = workdir
        self._writer = MetricWriter(workdir) if jax.process_index() == 0 else None
        self._progress = Progress(num_steps, batch_size)
        self._held: tuple[int, dict[str, jax.Array]] | None = None

    def resume(self, step: int) -> None:
        """Continue the count of minutes of the run at `step`."""
        if self._writer:
            self._progress.resume(read_metrics(self._workdir / "metrics.jsonl"), step)

    def count_step(self, wait_seconds: float) -> None:
        """Count one step; the loop has waited for data for `wait_seconds` in all steps so far."""
        self._progress.count(wait_seconds)

    def hold(self, step: int, metrics: dict[str, jax.Array]) -> None:
        """Keep the metrics of a step on the device until `write_held`."""
        self._held = step, metrics

    def write_held(self) -> None:
        """Fetch and write the metrics that are held, if any; waits for their step."""
        if self._held and self._writer:
            step, metrics = self._held
            values = {name: float(value) for name, value in jax.device_get(metrics).items()}
            values |= self._progress.rates() | {"minutes": self._progress.minutes()}
            say(self._progress.format(step, values))
            self._writer.scalars(step, {f"train/{name}": v for name, v in values.items()})
        self._held = None

    def write_evaluation(self, step: int, scores: dict[str, float], figure: Image.Image) -> None:
        """Write metrics and figure of an evaluation, whose time is left out of the speed."""
        if self._writer:
            self._writer.scalars(step, {f"eval/{name}": value for name, value in scores.items()})
            figures.save_png(self._workdir / "figures" / f"step_{step:08d}.png", figure)
            self._writer.images(step, {"eval/reconstruction": np.asarray(figure)})
        say("  ".join([f"step {step:,} held-out", *(f"{k} {v:.4g}" for k, v in scores.items())]))
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
        self._compiling, self._minutes_before = True, 0.0
        self._steps, self._seconds, self._wait = 0, 0.0, 0.0
        self._total_wait = 0.0
        self._start = self._now = time.monotonic()

    def resume(self, series: dict[str, Series], step: int) -> None:
        """Continue the count of minutes of a run whose metrics up to `step` are given."""
        steps, minutes = series.get("train/minutes", (np.zeros(0), np.zeros(0)))
        self._minutes_before = float(np.max(minutes[steps <= step], initial=0.0))

    def minutes(self) -> float:
        """Return the time spent on the run so far, compilation and evaluation included."""
        return self._minutes_before + (time.monotonic() - self._start) / 60

    def skip(self) -> None:
        """Leave the time since the last call out of the speed (evaluation)."""
        self._now = time.monotonic()

    def count(self, total_wait: float) -> None:
        """Count one step; all steps so far have waited `total_wait` seconds for data."""
        last, self._now = self._now, time.monotonic()
        wait, self._total_wait = total_wait - self._total_wait, total_wait
        if self._compiling:  # The first step compiles; the others take less time.
            self._compiling = False
            return
        self._steps += 1
        self._seconds += self._now - last
        self._wait += wait

    def rates(self) -> dict[str, float]:
        """Return the speed since the last call; empty if no step was counted."""
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
        """Return the console line for the scalars of one step."""
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
