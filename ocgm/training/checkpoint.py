"""Saving and restoring runs. All reading and writing with Orbax is in this file.

A checkpoint holds the train state, the position of the data iterator, and a digest of each field of the state and of
the position. What is read is compared with its digests, so a damaged file is noticed even where the storage format
would not notice. A part of the state, such as the parameters without the optimizer, can be read and verified alone.

The position is saved once, since it counts batches of the whole run: any number of processes can resume from it.
"""

import contextlib
import copy
import dataclasses
import json
import pathlib
import zlib
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import orbax.checkpoint as ocp
from etils import epath
from orbax.checkpoint import checkpoint_managers, checkpoint_utils

from ocgm import processes, run_dir
from ocgm.errors import CheckpointError, first_line
from ocgm.files import absolute, is_remote

# Times that the checkpoints of a run are listed anew because it saved and deleted some while they were read.
_MOST_LOOKS = 20


@dataclasses.dataclass(frozen=True)
class Restored:
    """A checkpoint that was read and verified.

    Attributes:
      state: the fields of the state that `restore` was given, with their shardings.
      step: the step of the checkpoint.
      problems: one line for each newer checkpoint that was skipped because it is damaged.
    """

    state: Any
    step: int
    problems: tuple[str, ...]


class CheckpointStore:
    """The checkpoints of one run, in `workdir`/checkpoints. Use as a context manager.

    With several processes, all of them call each method.

    Args:
      workdir: directory of the run.
      config: config.checkpoint (the `keep` newest and one every `keep_every_steps` are kept), or None to read only.

    Raises:
      ConfigError: the path of `workdir` cannot hold checkpoints.
      CheckpointError: its directory cannot be made.
    """

    def __init__(self, workdir: pathlib.Path, config: ml_collections.ConfigDict | None = None):
        run_dir.check_path(workdir)
        self._folder = epath.Path(absolute(workdir)) / "checkpoints"
        with self._saving():
            self._manager: Any = None if config is None else _manager(self._folder, config)

    def __enter__(self) -> "CheckpointStore":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._manager:
            with self._saving():
                self._manager.close()  # waits for a save in progress

    def steps(self) -> list[int]:
        """Return the steps of the complete checkpoints, in order."""
        if not self._folder.exists():
            return []
        folders = [path for path in self._folder.iterdir() if path.name.isdecimal()]
        return sorted(int(path.name) for path in folders if ocp.utils.is_checkpoint_finalized(path))

    def save(self, step: int, state: Any, data_iterator: Any | None = None) -> None:
        """Save in the background, after waiting for a save in progress. A step that was saved is not saved again.

        Raises:
          CheckpointError: this checkpoint, or the one in progress, could not be saved.
        """
        if step in self._manager.all_steps():
            return
        position = None if data_iterator is None else data_iterator.get_state()
        digests = {"state": _digests(state), "position": _json_digest(position)}
        items = {
            "state": ocp.args.PyTreeSave(state),
            # A copy, since the iterator moves on while it is written.
            "position": ocp.args.JsonSave(copy.deepcopy(position)),
            "digest": ocp.args.JsonSave(digests),
        }
        with self._saving():
            self._manager.save(step, args=ocp.args.Composite(**items), force=True)

    def wait(self) -> None:
        """Wait until the last save is on disk.

        Raises:
          CheckpointError: it could not be saved.
        """
        with self._saving():
            self._manager.wait_until_finished()

    def restore(
        self, abstract_state: Any, data_iterator: Any | None = None, step: int | None = None
    ) -> Restored | None:
        """Restore the newest checkpoint that is not damaged, or the one of `step`.

        With several processes, a checkpoint that one of them cannot read is damaged for all of them. Where a run saves
        and deletes checkpoints at the same time, the newest one is looked for again.

        Args:
          abstract_state: shapes, dtypes and shardings of the state or of some of its fields, as a dict or dataclass.
            Only these fields are read and verified: `step.abstract_inference_state` reads a model's variables alone.
          data_iterator: moved to the position at which the checkpoint was saved, if given; left alone if the
            checkpoint has no position, as imported ones have not.
          step: read this checkpoint and no other.

        Returns:
          The checkpoint; None if there is none at all.

        Raises:
          CheckpointError: there are checkpoints, and none of them can be read, or none of this step.
        """
        for _ in range(_MOST_LOOKS):
            steps = self._common_steps()
            if step is not None and step not in steps:
                raise CheckpointError(f"{self._folder} has no step {step}; it has {steps}.")
            candidates = steps if step is None else [step]
            restored, problems = self._newest_sound(candidates, abstract_state, data_iterator)
            if not problems or steps == self._common_steps():
                break
        if restored is None and problems:
            raise CheckpointError(
                "No checkpoint could be read; nothing was changed on disk:\n  "
                + "\n  ".join(problems)
                + "\nTo start from step 0, give another --workdir."
            )
        return restored

    def set_aside_after(self, step: int) -> list[pathlib.Path]:
        """Move checkpoints newer than `step` to checkpoints_damaged/, so that their steps can be saved again.

        Returns:
          The new paths, on the first process, which moves them.
        """
        targets = []
        with processes.together():
            newer = [s for s in self.steps() if s > step] if jax.process_index() == 0 else []
            for number in newer:
                target = self._folder.with_name("checkpoints_damaged") / str(number)
                while target.exists():
                    target = target.with_name(target.name + "_again")
                target.parent.mkdir(exist_ok=True)
                if is_remote(target):  # There, a directory is what has an object.
                    (target.parent / "README").write_text("Checkpoints that could not be read.\n")
                (self._folder / str(number)).rename(target)
                targets.append(target)
        self._manager.reload()
        return targets

    @contextlib.contextmanager
    def _saving(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # Orbax and TensorStore raise many kinds.
            full = "No space left" in str(error)
            reason = "No space left on device" if full else _reason(error)
            raise CheckpointError(
                f"A checkpoint could not be saved in {self._folder} ({reason}). Earlier checkpoints are"
                " intact: remove the cause and run the same command again to resume."
            ) from error

    def _common_steps(self) -> list[int]:
        """Return the steps that the first process sees: views of a network disk may differ."""
        return json.loads(processes.first_text(json.dumps(self.steps())))

    def _newest_sound(
        self, steps: list[int], abstract_state: Any, data_iterator: Any | None
    ) -> tuple[Restored | None, list[str]]:
        """Return the newest checkpoint that can be read, and one line for each newer one that cannot."""
        problems: list[str] = []
        for step in reversed(steps):
            try:
                state, position = self._read(step, abstract_state)
            except Exception as error:  # A damaged file may make the reader raise anything.
                problems.append(
                    f"checkpoint {self._folder / str(step)} is damaged or does not fit"
                    f" ({_reason(error)})"
                )
                continue
            # Only now: a checkpoint that is not used must not move the iterator.
            if data_iterator is not None and position is not None:
                data_iterator.set_state(position)
            return Restored(state, step, tuple(problems)), problems
        return None, problems

    def _read(self, step: int, abstract_state: Any) -> tuple[Any, Any]:
        """Return the state and the position of a checkpoint. Errors of one process are raised by all."""
        folder = self._folder / str(step)
        with processes.together():
            position = _read_json(folder / "position")
            expected = _read_json(folder / "digest")
            state = _read_state(folder / "state", abstract_state)
        found = _digests(state)  # Computed by all processes together.
        with processes.together():
            fits = found == {field: expected["state"].get(field) for field in found}
            if not fits or _json_digest(position) != expected["position"]:
                raise ValueError("its contents do not match the digests saved with them")
        return state, position


def _manager(folder: epath.Path, config: ml_collections.ConfigDict) -> ocp.CheckpointManager:
    policies = [checkpoint_managers.LatestN(config.keep)]
    if config.keep_every_steps:
        policies.append(checkpoint_managers.EveryNSteps(config.keep_every_steps))
    options = ocp.CheckpointManagerOptions(
        preservation_policy=checkpoint_managers.AnyPreservationPolicy(policies),
        # Where a directory cannot be made, an error at once; in the background, Orbax waits for it for five minutes.
        async_options=ocp.AsyncOptions(create_directories_asynchronously=False),
        cleanup_tmp_directories=True,  # left by saves that were killed
    )
    return ocp.CheckpointManager(folder, options=options)


def _read_json(folder: epath.Path) -> Any:
    """Return what Orbax's `JsonSave` wrote."""
    return json.loads((folder / "metadata").read_text())


def _read_state(folder: epath.Path, abstract_state: Any) -> Any:
    """Return the fields of a state, read by this process alone, which waits for no other.

    Raises:
      Exception: of any kind, if it cannot be read.
    """
    this = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(primary_host=this, active_processes={this})
    args = ocp.args.PyTreeRestore(
        abstract_state,
        checkpoint_utils.construct_restore_args(abstract_state),
        partial_restore=True,
    )
    with contextlib.closing(ocp.PyTreeCheckpointHandler(multiprocessing_options=alone)) as handler:
        state = handler.restore(folder, args=args)
    # A partial restore leaves an array out without an error.
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        if isinstance(leaf, jax.ShapeDtypeStruct):
            raise ValueError(f"it has no array {jax.tree_util.keystr(path)}")
    return state


def _json_digest(value: Any) -> int:
    return zlib.crc32(json.dumps(value, sort_keys=True).encode())


def _digests(state: Any) -> dict[str, int]:
    """Return the digest of each field of a state."""
    fields, _ = jax.tree_util.tree_flatten_with_path(state, is_leaf=lambda x: x is not state)
    trees = {jax.tree_util.keystr(path, simple=True): tree for path, tree in fields}
    return {name: int(value) for name, value in jax.device_get(_digest_each(trees)).items()}


def digest(tree: Any) -> jax.Array:
    """Return a position-dependent checksum (uint32) of the bits of all arrays; independent of the sharding."""
    total = jnp.uint32(0)
    for leaf in jax.tree.leaves(tree):
        bits = jax.lax.bitcast_convert_type(leaf, jnp.uint32).reshape(-1)
        weights = 2 * jnp.arange(bits.size, dtype=jnp.uint32) + 1
        total = total * jnp.uint32(31) + jnp.sum(bits * weights, dtype=jnp.uint32)
    return total


@jax.jit
def _digest_each(trees: dict[str, Any]) -> dict[str, jax.Array]:
    return {name: digest(tree) for name, tree in trees.items()}


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error)[:200]}"
