"""Time the generation and the reading of datasets: python -m experiments.benchmark_data.

Prints two tables. The first has the images per second of each synthetic dataset's generator, with nothing written. The
second is for synthetic Tetrominoes of each `--num_records`: preparing them on disk, reading them with the training
pipeline, and training the quickstart's Slot Attention, the fastest model of the configs. Each measurement runs in a new
process, so that peak memory is its own. Compare only figures of one idle machine.
"""

import contextlib
import io
import pathlib
import tempfile
import time
from collections.abc import Callable

import numpy as np
from absl import flags
from ml_collections import ConfigDict

from experiments.processes import in_new_process, peak_mib
from ocgm import experiment
from ocgm.commands import cli
from ocgm.data import registry

_DATASETS = flags.DEFINE_list(
    "datasets",
    [spec.name for spec in registry.DATASETS.values() if spec.generated],
    "Generated datasets to time, comma-separated.",
)
_SECONDS = flags.DEFINE_float("seconds", 10.0, "Seconds to time each dataset.", 0.1)
_NUM_RECORDS = flags.DEFINE_list(
    "num_records", ["10000", "1000000"], "Numbers of training images to compare."
)
_STEPS = flags.DEFINE_integer("steps", 300, "Training steps to time.", 30)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", "", "Directory of the datasets; by default a temporary one."
)


def rate(make: Callable[[], int], seconds: float) -> float:
    """Return images per second of a function that returns a number of images, after one warm-up call."""
    make()
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        count += make()
    return count / (time.perf_counter() - start)


def generating_rate(name: str, seconds: float) -> float:
    """Return images per second of a generated dataset's builder, after a warm-up."""
    from ocgm.data import open_builder

    builder = open_builder(registry.default_config(name))
    blocks = iter(range(2**31))
    return rate(lambda: len(builder.block("train", next(blocks))["image"]), seconds)


# ---- synthetic Tetrominoes by size; each function runs in a new process


def tetrominoes_config(data_dir: str, num_records: int) -> ConfigDict:
    """Return the quickstart's config with `num_records` training images."""
    config = experiment.load_config("quickstart_tetrominoes")
    config.data.data_dir = data_dir
    config.data.num_examples = (num_records, 320, 320)
    return config


def prepare(data_dir: str, num_records: int, seconds: float, steps: int) -> dict[str, float]:
    """Prepare the dataset."""
    from ocgm.data import prepare as prepare_dataset

    del seconds, steps
    start = time.perf_counter()
    prepare_dataset(tetrominoes_config(data_dir, num_records).data)
    return {"images/s": (num_records + 640) / (time.perf_counter() - start)}


def load(data_dir: str, num_records: int, seconds: float, steps: int) -> dict[str, float]:
    """Read batches as training does."""
    from ocgm.data import train_iterator

    del steps
    config = tetrominoes_config(data_dir, num_records)
    batches = train_iterator(config.data, config.batch_size, seed=0)
    return {"images/s": rate(lambda: len(next(batches)["image"]), seconds)}


def train(data_dir: str, num_records: int, seconds: float, steps: int) -> dict[str, float]:
    """Train, with one evaluation at the end."""
    from ocgm.run_dir import read_metrics
    from ocgm.training import loop as train_lib

    del seconds
    config = tetrominoes_config(data_dir, num_records)
    config.num_train_steps, config.log_every_steps = steps, 10
    with tempfile.TemporaryDirectory() as workdir:
        train_lib.train(config, pathlib.Path(workdir))
        _, rates = read_metrics(pathlib.Path(workdir) / "metrics.jsonl")["train/images_per_second"]
    return {"images/s": float(np.median(rates))}


def measured(job: Callable[..., dict[str, float]], *args: object) -> dict[str, float]:
    """Call one of the functions above and add its peak memory in MiB."""
    with contextlib.redirect_stdout(io.StringIO()):  # The log of training is not part of the table.
        return job(*args) | {"peak MiB": peak_mib()}


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    print("| Dataset | images/s |\n|---|---|")
    for name in _DATASETS.value:
        images_per_second = in_new_process(generating_rate, name, _SECONDS.value)
        print(f"| {name} | {images_per_second:,.0f} |", flush=True)
    print("\n| Records | job | images/s | peak MiB |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        data_dir = _DATA_DIR.value or temporary
        for num_records in map(int, _NUM_RECORDS.value):
            for job in (prepare, load, train):
                args = (job, data_dir, num_records, _SECONDS.value, _STEPS.value)
                result = in_new_process(measured, *args)
                numbers = " | ".join(f"{value:,.0f}" for value in result.values())
                print(f"| {num_records:,} | {job.__name__} | {numbers} |", flush=True)


if __name__ == "__main__":
    cli.run(main)
