"""Time the conversion of published files: python -m experiments.benchmark_readers.

The published files are too large to ship, so files of the same wire format are written first: Tetrominoes of our own
scenes, Objects Room of our own renderings with a grain of noise, CLEVR of the two records in the test fixtures, also
mirrored. Then each is prepared on one core, in a process of its own: reading, checksums, preprocessing and writing.
"""

import os
import pathlib
import tempfile
import time
from collections.abc import Iterator

import numpy as np
from absl import flags

from experiments.processes import in_new_process, peak_mib
from ocgm.commands import cli
from ocgm.data import registry
from ocgm.datasets.builders import tfrecord_writer

_ROOT = pathlib.Path(__file__).parents[1]
# Records of train, validation and test; each further split has as many as test.
_SIZES = {
    "tetrominoes": (20_000, 320, 320),
    "objects_room": (5_000, 200, 200),
    "clevr_with_masks": (100, 10, 10),
}
_DATASETS = flags.DEFINE_list("datasets", list(_SIZES), "Published datasets to time.")


def planes(labels: np.ndarray, count: int) -> np.ndarray:
    """Masks uint8 [count, H, W, 1], 0 or 255, of a label map [H, W]."""
    return (np.arange(count)[:, None, None] == labels)[..., None] * np.uint8(255)


def tetrominoes() -> Iterator[bytes]:
    """Records of synthetic Tetrominoes, for ever."""
    from ocgm.data import open_builder

    def with_background(values: np.ndarray) -> np.ndarray:
        return np.concatenate([np.zeros_like(values[:1]), values]).astype(np.float32)

    builder = open_builder(registry.default_config("tetrominoes_synthetic"))
    for index in range(2**31):
        records = builder.block("train", index)
        for row, (image, masks) in enumerate(zip(records["image"], records["masks"], strict=True)):
            factors = {name: values[row] for name, values in records["factors"].items()}
            factors["color"] = factors["color"] // 255
            yield tfrecord_writer.serialized(
                image=image,
                mask=planes(masks, 4),
                visibility=np.ones(4, np.float32),
                **{name: with_background(values) for name, values in factors.items()},
            )


def objects_room(num_planes: int) -> Iterator[bytes]:
    """Records of one block of synthetic rooms, with new noise each time, for ever."""
    from ocgm.data import open_builder

    builder = open_builder(registry.default_config("objects_room_synthetic"))
    records = builder.block("train", 0)
    # Sky, floor and walls, then the objects.
    labels = np.where(
        records["masks"] > 0, records["masks"] + 3, records["background_parts"] - np.uint8(1)
    )
    rng = np.random.default_rng(0)
    while True:
        for image, of_image in zip(records["image"], labels, strict=True):
            noisy = np.clip(image, 1, 254) + rng.integers(-1, 2, (64, 64, 1)).astype(np.int8)
            mask = planes(np.minimum(of_image, num_planes - 1), num_planes)
            yield tfrecord_writer.serialized(image=noisy.astype(np.uint8), mask=mask)


def clevr_with_masks() -> Iterator[bytes]:
    """The two published records of the fixtures, as they are and mirrored, for ever."""
    path = _ROOT / "tests" / "datasets" / "fixtures" / "clevr_with_masks_train_first2.npz"
    with np.load(path) as file:
        arrays = {name: file[name] for name in file}
    arrays["visibility"] = arrays["visibility"].astype(np.float32)
    records = []
    for row in range(2):
        fields = {name: values[row] for name, values in arrays.items()}
        records.append(tfrecord_writer.serialized(**fields))
        fields |= {"image": fields["image"][:, ::-1], "mask": fields["mask"][:, :, ::-1]}
        records.append(tfrecord_writer.serialized(**fields))
    while True:
        yield from records


def write_files(name: str, folder: str) -> None:
    """Writes the files of a dataset."""
    train, validation, test = _SIZES[name]
    total = train + validation + test
    if name == "tetrominoes":
        files = {"tetrominoes_train": (tetrominoes(), total)}
    elif name == "clevr_with_masks":
        files = {"clevr_with_masks_train": (clevr_with_masks(), total)}
    else:
        files = {
            "objects_room_train": (objects_room(7), total),
            "objects_room_test_empty_room": (objects_room(4), test),
            "objects_room_test_six_objects": (objects_room(10), test),
            "objects_room_test_identical_color": (objects_room(10), test),
        }
    for file, (records, count) in files.items():
        some = (record for record, _ in zip(records, range(count), strict=False))
        tfrecord_writer.write_records(pathlib.Path(folder, f"{file}.tfrecords"), some)


def prepare(name: str, folder: str) -> tuple[float, float, float]:
    """Prepares a dataset on one core; returns records a second of wall and CPU time, and peak memory in MiB."""
    from ocgm.data import prepare as prepare_dataset

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {0})
    config = registry.default_config(name)
    config.update(manual_dir=folder, data_dir=f"{folder}/data", num_examples=_SIZES[name])
    if name == "clevr_with_masks":
        config.variant = "all"
    wall, cpu = time.perf_counter(), time.process_time()
    builder = prepare_dataset(config)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    count = sum(split.num_examples for split in builder.info.splits.values())
    return count / wall, count / cpu, peak_mib()


def main(argv: list[str]) -> None:
    del argv
    print("| Dataset | records/s | records/CPU-second | peak MiB |\n|---|---|---|---|")
    for name in _DATASETS.value:
        with tempfile.TemporaryDirectory() as folder:
            in_new_process(write_files, name, folder)
            rates = in_new_process(prepare, name, folder)
        print(f"| {name} | " + " | ".join(f"{value:,.0f}" for value in rates) + " |", flush=True)


if __name__ == "__main__":
    cli.run(main)
