"""Saving and restoring runs. All use of Orbax is in this file.

A checkpoint holds the train state, the position of the data iterator, and a digest of each field of the state and of
the position. What is read is compared with its digests, so a damaged file is noticed even where the storage format
would not notice. A part of the state, such as the parameters without the optimizer, can be read and verified alone.
"""

import contextlib
import dataclasses
import json
import pathlib
import zlib
from collections.abc import Iterator
from typing import Any

import grain.checkpoint
import jax
import jax.numpy as jnp
import ml_collections
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils
from orbax.checkpoint import checkpoint_managers, checkpoint_utils

from ocgm.errors import CheckpointError


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

    Args:
      workdir: directory of the run.
      config: config.checkpoint (the `keep` newest and one every `keep_every_steps` are kept), or None to read only.
    """

    def __init__(self, workdir: pathlib.Path, config: ml_collections.ConfigDict | None = None):
        self._folder = workdir.absolute() / "checkpoints"
        if config is None:
            options = ocp.CheckpointManagerOptions(read_only=True)
        else:
            policies = [checkpoint_managers.LatestN(config.keep)]
            if config.keep_every_steps:
                policies.append(checkpoint_managers.EveryNSteps(config.keep_every_steps))
            options = ocp.CheckpointManagerOptions(
                preservation_policy=checkpoint_managers.AnyPreservationPolicy(policies),
                enable_async_checkpointing=True,
                cleanup_tmp_directories=True,  # left by saves that were killed
            )
        self._manager = ocp.CheckpointManager(self._folder, options=options)

    def __enter__(self) -> "CheckpointStore":
        return self

    def __exit__(self, *exception: object) -> None:
        with self._saving():
            self._manager.close()  # waits for a save in progress

    def steps(self) -> list[int]:
        """Return the steps that were saved, in order."""
        return sorted(self._manager.all_steps())

    def save(self, step: int, state: Any, data_iterator: Any | None = None) -> None:
        """Save in the background, after waiting for a save in progress. A step that was saved is not saved again.

        Raises:
          CheckpointError: this checkpoint, or the one in progress, could not be saved.
        """
        if step in self._manager.all_steps():
            return
        digests: dict[str, Any] = {"state": _digests(state), "position": None}
        items = {"state": ocp.args.PyTreeSave(state)}
        if data_iterator is not None:
            digests["position"] = _position_digest(data_iterator)
            items["data"] = grain.checkpoint.CheckpointSave(data_iterator)
        items["digest"] = ocp.args.JsonSave(digests)
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
        steps = self.steps()
        if step is not None:
            if step not in steps:
                raise CheckpointError(f"{self._folder} has no step {step}; it has {steps}.")
            steps = [step]
        problems = []
        for candidate in reversed(steps):
            try:
                state = self._read(candidate, abstract_state, data_iterator)
            except Exception as error:  # A damaged file may make the reader raise anything.
                problems.append(
                    f"checkpoint {self._folder / str(candidate)} is damaged or does not fit"
                    f" ({_first_line(error)})"
                )
                continue
            return Restored(state, candidate, tuple(problems))
        if problems:
            raise CheckpointError(
                "No checkpoint could be read; nothing was changed on disk:\n  "
                + "\n  ".join(problems)
                + "\nTo start from step 0, give another --workdir."
            )
        return None

    def set_aside_after(self, step: int) -> list[pathlib.Path]:
        """Move checkpoints newer than `step` to checkpoints_damaged/, so that their steps can be saved again.

        Returns:
          The new paths.
        """
        targets = {}
        for newer in [s for s in self.steps() if s > step]:
            target = self._folder.with_name("checkpoints_damaged") / str(newer)
            while target.exists():
                target = target.with_name(target.name + "_again")
            targets[newer] = target
        if targets:
            # The first process moves them, while the others neither look for targets nor read.
            multihost_utils.sync_global_devices("targets of damaged checkpoints")
            if jax.process_index() == 0:
                for newer, target in targets.items():
                    target.parent.mkdir(exist_ok=True)
                    (self._folder / str(newer)).rename(target)
            multihost_utils.sync_global_devices("damaged checkpoints moved")
            self._manager.reload()
        return list(targets.values())

    @contextlib.contextmanager
    def _saving(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # Orbax and TensorStore raise many kinds.
            full = "No space left" in str(error)
            reason = "No space left on device" if full else _first_line(error)
            raise CheckpointError(
                f"A checkpoint could not be saved in {self._folder} ({reason}). Earlier checkpoints are"
                " intact: remove the cause and run the same command again to resume."
            ) from error

    def _read(self, step: int, abstract_state: Any, data_iterator: Any | None) -> Any:
        args = ocp.args.Composite(digest=ocp.args.JsonRestore())
        expected = self._manager.restore(step, args=args)["digest"]
        restore_args = checkpoint_utils.construct_restore_args(abstract_state)
        items = {
            "state": ocp.args.PyTreeRestore(abstract_state, restore_args, partial_restore=True)
        }
        if data_iterator is not None and expected["position"] is not None:
            items["data"] = grain.checkpoint.CheckpointRestore(data_iterator)
        state = self._manager.restore(step, args=ocp.args.Composite(**items))["state"]
        _check_complete(state)
        found = _digests(state)
        fits = found == {field: expected["state"].get(field) for field in found}
        if "data" in items:
            fits &= _position_digest(data_iterator) == expected["position"]
        if not fits:
            raise ValueError("its contents do not match the digests saved with them")
        return state


def _check_complete(state: Any) -> None:
    """Raise where a partial restore left an array out, which it does without an error."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        if isinstance(leaf, jax.ShapeDtypeStruct):
            raise ValueError(f"it has no array {jax.tree_util.keystr(path)}")


def _position_digest(data_iterator: Any) -> int:
    return zlib.crc32(json.dumps(data_iterator.get_state(), sort_keys=True).encode())


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


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:200]}"
