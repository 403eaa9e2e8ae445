"""Training: one loop for every model."""

import pathlib
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

import jax
import ml_collections
import numpy as np
from PIL import Image

from ocgm import models, processes, run_dir, sharding
from ocgm.data.pipeline import eval_batches, train_iterator
from ocgm.data.prefetch import DevicePrefetcher
from ocgm.errors import ConfigError, UserError
from ocgm.evaluation.evaluator import Evaluator, evaluation_figure
from ocgm.files import as_path
from ocgm.models.base import Model
from ocgm.training import config_ranges, memory
from ocgm.training.checkpoint import CheckpointStore
from ocgm.training.profiler import StepProfiler
from ocgm.training.signals import StopSignals
from ocgm.training.step import (
    TrainState,
    abstract_state,
    curriculum_options,
    init_state,
    make_train_step,
)
from ocgm.training.writers import RunLog, say


class NonFiniteLossError(UserError):
    """A loss or gradient was NaN or infinite."""


def train(
    config: ml_collections.ConfigDict,
    workdir: str | pathlib.Path,
    profile_steps: tuple[int, int] | None = None,
) -> dict[str, float]:
    """Train a model, or resume a run of the same config from its last checkpoint.

    Writes config.json, metrics.jsonl, checkpoints/ and figures/.

    Args:
      config: config of the experiment; `ocgm.experiment` documents the fields.
      workdir: directory of the run.
      profile_steps: first and last step, counted from 1, to trace with `jax.profiler` into profile/.

    Returns:
      The last evaluation's metrics.

    Raises:
      UserError: the config is impossible, the directory or the data cannot be used, or checkpoints cannot be read.
      NonFiniteLossError: a loss or gradient was not finite; the state before it is saved in failed_state/.
      Interrupted: the process received a signal of `StopSignals`; the state is saved.
    """
    workdir = as_path(workdir)
    with StopSignals(workdir) as stop, processes.ending_together(), ExitStack() as resources:
        # ---- set up: mistakes in the config show here, before the first step
        config_ranges.check(config)
        mesh, model = sharding.make_mesh(config.mesh), models.build(config.model)
        check_config(config, model, mesh)
        memory.warn(config, mesh)
        run_dir.check_workdir(workdir, config)  # Before data is made, which can take a minute.
        profiler = resources.enter_context(StepProfiler(workdir / "profile", profile_steps))
        train_step = make_train_step(config, mesh)
        evaluator = make_evaluator(config, model, mesh)
        host_batches = train_iterator(config.data, config.batch_size, config.seed)
        prefetcher = DevicePrefetcher(host_batches, sharding.batch_sharding(mesh))
        batches = resources.enter_context(closing(prefetcher))
        check_held_out_images(config)
        resources.enter_context(run_dir.claim_workdir(workdir, config))
        log = resources.enter_context(closing(RunLog(workdir, config)))
        checkpoints = resources.enter_context(CheckpointStore(workdir, config.checkpoint))
        # Once more, since closing the checkpoints would wait for other processes.
        resources.enter_context(processes.ending_together())
        resources.enter_context(memory.exhaustion_explained(config))

        # ---- start or resume
        state, step = start_or_resume(config, mesh, checkpoints, batches)
        say_start(config, mesh, state, step)
        log.resume(step)
        deadline = time.monotonic() + (60 * config.max_train_minutes or float("inf"))

        # ---- train
        metrics, last = None, step >= config.num_train_steps
        while not last:
            batch = next_or_save(batches, checkpoints, state, step)
            options = curriculum_options(config, step)
            log.before_step(options)
            profiler.before_step(step + 1)
            before = metrics
            with jax.transfer_guard("disallow"):
                state, metrics = train_step(state, batch, options)
            step += 1
            jax.block_until_ready(before)  # At most two are in flight, so that a stop is soon.
            profiler.after_step(step, metrics)

            last = stop.requested(step) or step == config.num_train_steps
            last |= time.monotonic() >= deadline
            evaluating = is_due(step, config.evaluation.every_steps) and not last
            saving = evaluating or is_due(step, config.checkpoint.every_steps)
            logging = last or is_due(step, config.log_every_steps)
            if logging or saving:
                check_finite(state, step, config, workdir)  # Waits for the device.
            log.step(step, metrics, batches.wait_seconds, logging)
            if saving:
                checkpoints.save(step, state, batches)
            if evaluating:  # After the save, so that no step is lost if it fails or is stopped.
                with stop.at_once():
                    log.write_evaluation(step, *evaluate(evaluator, config, state))

        # ---- finish
        checkpoints.save(step, state, batches)
        checkpoints.wait()
        stop.raise_if_requested()
        with stop.at_once():
            scores, figure = evaluate(evaluator, config, state)
            log.write_evaluation(step, scores, figure)
    return scores


def is_due(step: int, every_steps: int) -> bool:
    """Return whether something that is done every so many steps, 0 meaning never, is due after this one."""
    return every_steps > 0 and step % every_steps == 0


def next_or_save(
    batches: DevicePrefetcher, checkpoints: CheckpointStore, state: TrainState, step: int
) -> dict[str, jax.Array]:
    """Return the next batch; save the state first if there is an error instead, such as a damaged file.

    With several processes nothing is saved, since the others have no error and save nothing.
    """
    try:
        return next(batches)
    except Exception:
        if jax.process_count() == 1 and not jax.device_get(state.failed):
            checkpoints.save(step, state, batches)
        raise


def say_start(
    config: ml_collections.ConfigDict, mesh: jax.sharding.Mesh, state: TrainState, step: int
) -> None:
    """Print what is trained, on which devices, with which batches, and from which step."""
    size, processes = config.batch_size, jax.process_count()
    say(
        f"{config.model.name}: {num_parameters(state):,} parameters on {mesh.size} device(s)"
        f" ({jax.devices()[0].device_kind}) of {processes} process(es)"
    )
    say(
        f"batch {size:,}: {size // processes:,} in a process, {size // mesh.size:,} on a device;"
        f" from step {step:,} of {config.num_train_steps:,}"
    )


def check_config(config: ml_collections.ConfigDict, model: Model, mesh: jax.sharding.Mesh) -> None:
    """Check what no single part can check.

    Batches fit the devices, the model the data, the curriculum the model, and the time limit a single process.

    Raises:
      UserError: one of them does not.
    """
    models.check_options(model, [option for _, option, _ in config.curriculum])
    if config.model.image_size != config.data.image_size:
        raise ConfigError(
            f"config.model.image_size={config.model.image_size}, but config.data.image_size"
            f"={config.data.image_size}; set only the latter, which sets both."
        )
    if config.max_train_minutes and jax.process_count() > 1:
        raise ConfigError(
            "config.max_train_minutes works with one process only: the clocks of several differ."
        )
    for field, size in (
        ("batch_size", config.batch_size),
        ("evaluation.batch_size", config.evaluation.batch_size),
    ):
        if size % mesh.size:
            raise ConfigError(
                f"config.{field}={size} is not a multiple of the {mesh.size} devices."
            )


def check_held_out_images(config: ml_collections.ConfigDict) -> None:
    """Check before training, not at the first evaluation, that the validation split has enough images.

    Raises:
      UserError: the split has too few images.
    """
    held_out_batches(config)


def held_out_batches(config: ml_collections.ConfigDict) -> Iterator[dict[str, np.ndarray]]:
    """Return the batches of one evaluation."""
    settings = config.evaluation
    return eval_batches(config.data, "validation", settings.batch_size, settings.num_images)


def make_evaluator(
    config: ml_collections.ConfigDict, model: Model, mesh: jax.sharding.Mesh
) -> Evaluator:
    """Create the evaluator of a run.

    Raises:
      InputError: the model does not have an option of config.evaluation.model_options.
    """
    settings = config.evaluation
    options = dict(settings.model_options)
    return Evaluator(model, config.data.name, mesh, settings.num_figure_images, options)


def evaluate(
    evaluator: Evaluator, config: ml_collections.ConfigDict, state: TrainState
) -> tuple[dict[str, float], Image.Image]:
    """Return metrics over the held-out images and a figure of the first of them."""
    scores, images, outputs = evaluator.run(state.variables, held_out_batches(config), config.seed)
    return scores, evaluation_figure(images, outputs)


def num_parameters(state: TrainState) -> int:
    """Return the number of trained parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(state.params))


def start_or_resume(
    config: ml_collections.ConfigDict,
    mesh: jax.sharding.Mesh,
    checkpoints: CheckpointStore,
    batches: DevicePrefetcher,
) -> tuple[TrainState, int]:
    """Return state and step of the newest checkpoint that is not damaged, or the initial ones.

    Moves `batches` to the checkpoint's position, and damaged checkpoints that are newer out of the way.
    """
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
    """Stop a run if a loss or gradient was not finite.

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
