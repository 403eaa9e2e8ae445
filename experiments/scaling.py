"""How training scales over many chips, computed from the models: python -m experiments.scaling.

Each chip computes the gradients of its part of the batch, and all chips add them up. For each model the program prints
the bytes of these gradients, the arithmetic of a step per image, and the images per chip at which adding up takes a
tenth of a step, for pods of several sizes. `docs/scaling.md` has the assumptions.

--measure also trains BD-VAE at 32x32, whose gradients are as large as GENESIS-V2's, on one core with one process and on
two cores with two processes, and prints both speeds. The machine has to be idle.
"""

import dataclasses
import math
import os
import socket
import subprocess
import sys
import tempfile

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from absl import flags
from jax.sharding import AxisType

from ocgm import experiment, run_dir
from ocgm.commands import cli
from ocgm.errors import UserError
from ocgm.training.step import abstract_state, make_train_step

_CONFIGS = flags.DEFINE_list(
    "configs",
    [
        "genesis_multi_dsprites",
        "genesis_v2_multi_dsprites",
        "genesis_v2_shapestacks",
        "monet_multi_dsprites",
        "slot_attention_clevr6",
        "efficient_morl_clevr6",
        "iodine_clevr6",
    ],
    "Configs, one for each row.",
)
_MEASURE = flags.DEFINE_bool("measure", False, "Also measure one and two processes here.")

_EFFICIENCY = 0.9
_PODS = (8, 64, 256)


@dataclasses.dataclass(frozen=True)
class Chip:
    """What the computation needs of a chip; manufacturers' figures.

    Attributes:
      flops: operations per second in bfloat16.
      bandwidth: bytes per second that a chip sends to its neighbour in a ring of chips.
      latency: seconds until a short message has arrived.
    """

    flops: float
    bandwidth: float
    latency: float


CHIPS = {
    "TPU v5e": Chip(197e12, 100e9, 1e-6),
    "A100, InfiniBand 200 Gb/s": Chip(312e12, 25e9, 5e-6),
    "H100, InfiniBand 400 Gb/s": Chip(989e12, 50e9, 5e-6),
}
# Of the peak, in convolutions of 32 to 64 channels: an assumption, not a measurement.
_SUSTAINED = 0.3


@dataclasses.dataclass(frozen=True)
class Step:
    """A training step.

    Attributes:
      gradient_bytes: bytes that each chip adds up with the others.
      flops_per_image: operations of forward pass, backward pass and refinement.
    """

    gradient_bytes: int
    flops_per_image: float

    def seconds(self, images: float, chip: Chip) -> float:
        """Return the time to compute the gradients of this many images on one chip."""
        return images * self.flops_per_image / (_SUSTAINED * chip.flops)

    def all_reduce_seconds(self, chips: int, chip: Chip) -> float:
        """Return the time to add up the gradients: in a ring, each chip sends them almost twice."""
        sent = 2 * (chips - 1) / chips * self.gradient_bytes
        return sent / chip.bandwidth + 2 * math.log2(chips) * chip.latency

    def efficiency(self, images: float, chips: int, chip: Chip) -> float:
        """Return the share of a step that is computation, where adding up does not overlap with it."""
        seconds = self.seconds(images, chip)
        return seconds / (seconds + self.all_reduce_seconds(chips, chip))

    def least_images(self, chips: int, chip: Chip) -> int:
        """Return the smallest number of images per chip that keeps the efficiency."""
        ratio = _EFFICIENCY / (1 - _EFFICIENCY)
        seconds = ratio * self.all_reduce_seconds(chips, chip)
        return max(1, math.ceil(seconds / self.seconds(1, chip)))


def step_of(config: ml_collections.ConfigDict) -> Step:
    """Count a training step of a config; lowers it for one and for two images, and compiles nothing."""
    axis_types = (AxisType.Auto,) * 2
    mesh = jax.make_mesh((1, 1), ("data", "fsdp"), axis_types, devices=jax.devices()[:1])
    state, train_step = abstract_state(config, mesh), make_train_step(config, mesh)
    side = config.data.image_size

    def flops(images: int) -> float:
        batch = {"image": jax.ShapeDtypeStruct((images, side, side, 3), jnp.uint8)}
        return train_step.lower(state, batch, ()).cost_analysis()["flops"]

    leaves = jax.tree.leaves(state.params)
    gradient_bytes = sum(leaf.size * np.dtype(leaf.dtype).itemsize for leaf in leaves)
    return Step(gradient_bytes, flops(2) - flops(1))


def print_table(steps: dict[str, Step], name: str, chip: Chip) -> None:
    """Print the row of each model for one kind of chip."""
    print(f"\n{name}:\n")
    pods = "".join(f" {chips} chips: all-reduce, images per chip |" for chips in _PODS)
    print(f"| Config | MB all-reduced | GFLOP per image | ms for 32 images |{pods}")
    print("|---|---|---|---|" + "---|" * len(_PODS))
    for config, step in steps.items():
        cells = [
            f"{step.gradient_bytes / 1e6:.1f}",
            f"{step.flops_per_image / 1e9:.0f}",
            f"{1e3 * step.seconds(32, chip):.2f}",
            *(
                f"{1e3 * step.all_reduce_seconds(chips, chip):.2f} ms, {step.least_images(chips, chip)}"
                for chips in _PODS
            ),
        ]
        print(f"| `{config}` | " + " | ".join(cells) + " |")


# ---- two processes of this machine


def measured_images_per_second(processes: int) -> float:
    """Return the speed of `ocgm train --distributed` with one core and eight images in each process."""
    with socket.create_server(("localhost", 0)) as server:
        address = f"localhost:{server.getsockname()[1]}"
    with tempfile.TemporaryDirectory() as folder:
        fields = {
            "batch_size": 8 * processes,
            "num_train_steps": 100,
            "log_every_steps": 10,
            "data.image_size": 32,
            "data.data_dir": f"{folder}/data",
            "data.num_examples": "(480, 16, 16)",
            "evaluation.num_images": 16,
            "evaluation.batch_size": 16,
        }
        command = [
            *(sys.executable, "-m", "ocgm", "train", "--distributed"),
            *("--config=bd_vae_multi_dsprites", f"--workdir={folder}/run"),
            *(f"--config.{field}={value}" for field, value in fields.items()),
        ]
        started = []
        for rank in range(processes):
            variables = {
                "JAX_COORDINATOR_ADDRESS": address,
                "JAX_NUM_PROCESSES": str(processes),
                "JAX_PROCESS_ID": str(rank),
                "JAX_NUM_CPU_DEVICES": "1",
            }
            on_a_core = ["taskset", "--cpu-list", str(rank), *command]
            started.append(subprocess.Popen(on_a_core, env=os.environ | variables))
        if any([process.wait() for process in started]):
            raise UserError(f"training with {processes} process(es) failed; see above.")
        _, speeds = run_dir.read_metrics(f"{folder}/run/metrics.jsonl")["train/images_per_second"]
    return float(np.median(speeds))


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    steps = {name: step_of(experiment.load_config(name)) for name in _CONFIGS.value}
    for name, chip in CHIPS.items():
        print_table(steps, name, chip)
    if _MEASURE.value:
        one, two = (measured_images_per_second(processes) for processes in (1, 2))
        print(
            f"\nmeasured here, 8 images in each process: {one:.1f} images/s with one process,"
            f" {two:.1f} with two, an efficiency of {two / (2 * one):.2f}"
        )


if __name__ == "__main__":
    cli.run(main)
