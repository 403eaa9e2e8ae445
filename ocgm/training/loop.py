"""Training: one loop for every model."""

import contextlib
import functools
import pathlib
import time

import flax.linen as nn
import jax
import ml_collections
import numpy as np

from ocgm import models, run_dir, sharding
from ocgm.data.pipeline import eval_batches, train_iterator
from ocgm.data.prefetch import DevicePrefetcher
from ocgm.errors import ConfigError, UserError
from ocgm.evaluation.evaluator import Evaluator, evaluation_figure
from ocgm.plots import figures
from ocgm.plots.curves import read_metrics
from ocgm.training.checkpoint import CheckpointStore
from ocgm.training.signals import Interrupted, StopSignals
from ocgm.training.step import (
    TrainState,
    abstract_state,
    curriculum_options,
    init_state,
    make_train_step,
)
from ocgm.training.writers import MetricWriter, NullWriter, ProgressLine


class NonFiniteLossError(UserError):
    """A loss or gradient was NaN or infinite."""


def train(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> dict[str, float]:
    """Train `config` in `workdir`, or go on where a run of the same config left off.

    Writes config.json, metrics.jsonl, checkpoints/ and figures/.

    Args:
      config: an experiment; configs/common.py documents the fields.
      workdir: the run's folder.

    Returns:
      The last evaluation's metrics.

    Raises:
      UserError: the config is impossible, the folder or the data cannot be used, or checkpoints cannot be read.
      NonFiniteLossError: loss or gradient were not finite; the state before is saved in failed_state/.
      Interrupted: SIGTERM or SIGINT came; the state is saved.
    """
    # ---- what runs, on what, in which folder
    mesh = sharding.make_mesh(config.mesh)
    model = models.build(config.model)
    check_config(config, model, mesh)
    run_dir.check_workdir(workdir, config)  # Before data is made, which can take a minute.
    train_step = functools.cache(functools.partial(make_train_step, config, mesh))
    train_step(curriculum_options(config, 0))  # Mistakes in the config show before data is read.
    host_batches = train_iterator(config.data, config.batch_size, config.seed)
    batches = DevicePrefetcher(host_batches, sharding.batch_sharding(mesh))
    held_out_batches = functools.partial(
        eval_batches,
        config.data,
        "validation",
        config.evaluation.batch_size,
        config.evaluation.num_images,
    )
    evaluator = Evaluator(
        model,
        config.data.name,
        mesh,
        config.evaluation.num_figure_images,
        dict(config.evaluation.model_options),
    )
    held_out_batches()  # Too few images are noticed now, not when the first evaluation is due.
    run_dir.claim_workdir(workdir, config)
    first_process = jax.process_index() == 0  # It alone writes metrics and pictures.
    writer = MetricWriter(workdir) if first_process else NullWriter()
    progress = ProgressLine(config.num_train_steps, config.batch_size)

    def report(step: int, metrics: dict[str, jax.Array]) -> None:
        values = {name: float(value) for name, value in jax.device_get(metrics).items()}
        values |= progress.rates() | {"minutes": progress.minutes()}
        say(progress.format(step, values))
        writer.scalars(step, {f"train/{name}": value for name, value in values.items()})

    def evaluate(step: int, state: TrainState) -> dict[str, float]:
        variables = {"params": state.params, **state.model_state}
        scores, images, outputs = evaluator.run(variables, held_out_batches(), config.seed)
        writer.scalars(step, {f"eval/{name}": value for name, value in scores.items()})
        picture = evaluation_figure(images, outputs)
        if first_process:
            figures.save_png(workdir / "figures" / f"step_{step:08d}.png", picture)
        writer.images(step, {"eval/reconstruction": np.asarray(picture)})
        say("  ".join([f"step {step:,} held-out", *(f"{k} {v:.4g}" for k, v in scores.items())]))
        return scores

    with (
        contextlib.closing(batches),
        contextlib.closing(writer),
        CheckpointStore(workdir, config.checkpoint) as checkpoints,
        StopSignals() as stop,
    ):
        # ---- start, or go on
        state, step = start_or_resume(config, mesh, checkpoints, batches)
        say(f"{num_parameters(state):,} parameters, {mesh.size} device(s), from step {step:,}")
        progress.resume(read_metrics(workdir / "metrics.jsonl"), step)
        deadline = time.monotonic() + (60 * config.max_train_minutes or float("inf"))
        scores, to_report = None, None

        # ---- train
        while step < config.num_train_steps and time.monotonic() < deadline:
            batches.reset_wait()
            options = curriculum_options(config, step)
            state, metrics = train_step(options)(state, next(batches))
            step += 1
            if to_report:  # The device is busy with this step; fetch an earlier one's metrics.
                report(*to_report)
            to_report = (step, metrics) if step % config.log_every_steps == 0 else None
            stopping = stop.requested(step)
            saving = stopping or step % config.checkpoint.every_steps == 0
            evaluating = step % config.evaluation.every_steps == 0
            if to_report or saving or evaluating:
                check_finite(state, step, config, workdir)  # Waits for the device.
            progress.count(batches.wait_seconds)
            if evaluating:
                scores = evaluate(step, state)
                progress.skip()
            if saving:
                checkpoints.save(step, state, batches)
            if stopping:
                checkpoints.wait()
                raise Interrupted(stop.name, step, workdir)

        # ---- finish
        if to_report:
            report(*to_report)
        check_finite(state, step, config, workdir)
        checkpoints.save(step, state, batches)
        if scores is None or step % config.evaluation.every_steps:
            scores = evaluate(step, state)
    return scores


def say(line: str) -> None:
    """Print on the first process only."""
    if jax.process_index() == 0:
        print(line, flush=True)


def num_parameters(state: TrainState) -> int:
    """Number of trained parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(state.params))


def check_config(
    config: ml_collections.ConfigDict, model: nn.Module, mesh: jax.sharding.Mesh
) -> None:
    """Check what no single part can.

    Batches fit the devices, the model the data, the curriculum the model, the time limit one process.

    Raises:
      UserError: they do not.
    """
    models.check_options(model, [option for _, option, _ in config.curriculum])
    if config.model.image_size != config.data.image_size:
        raise ConfigError(
            f"config.model.image_size={config.model.image_size}, but config.data.image_size"
            f"={config.data.image_size}; set only the latter, which sets both."
        )
    if config.max_train_minutes and jax.process_count() > 1:
        raise ConfigError(
            "config.max_train_minutes is for one process: the clocks of several differ."
        )
    for field, size in (
        ("batch_size", config.batch_size),
        ("evaluation.batch_size", config.evaluation.batch_size),
    ):
        if size % mesh.size:
            raise ConfigError(
                f"config.{field}={size} is not a multiple of the {mesh.size} devices."
            )


def start_or_resume(
    config: ml_collections.ConfigDict,
    mesh: jax.sharding.Mesh,
    checkpoints: CheckpointStore,
    batches: DevicePrefetcher,
) -> tuple[TrainState, int]:
    """State and step of the newest sound checkpoint, or fresh ones; moves `batches` to its position."""
    abstract = abstract_state(config, mesh)
    restored = checkpoints.restore(abstract, batches)
    if restored is None:
        shardings = jax.tree.map(lambda leaf: leaf.sharding, abstract)
        return jax.jit(lambda: init_state(config), out_shardings=shardings)(), 0
    for problem in restored.problems:
        say(f"warning: {problem}")
    for folder in checkpoints.set_aside_after(restored.step):
        say(f"warning: moved it to {folder}")
    return restored.state, restored.step


def check_finite(
    state: TrainState, step: int, config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> None:
    """Stop a run whose loss or gradient was not finite.

    Raises:
      NonFiniteLossError: after saving the state before the failing step.
    """
    failed, last_finite = jax.device_get((state.failed, state.step))
    if not failed:
        return
    with CheckpointStore(workdir / "failed_state", config.checkpoint) as failures:
        failures.save(int(last_finite), state)
    raise NonFiniteLossError(
        f"The loss or its gradient was not finite at step {last_finite + 1:,} (noticed at step"
        f" {step:,}). The state before it is in {workdir / 'failed_state'}; the run's checkpoints are"
        " untouched. Lower config.optimizer.learning_rate or set config.optimizer.clip_norm, and"
        " train in a new --workdir."
    )
