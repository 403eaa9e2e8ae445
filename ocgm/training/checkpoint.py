"""Saving and restoring runs. All use of Orbax is in this file.

A checkpoint holds the train state, the position of the data iterator and digests of both. The digests are checked after
reading, so a damaged file is noticed even where the storage format would not notice.
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
from orbax.checkpoint import checkpoint_managers

from ocgm.errors import CheckpointError


@dataclasses.dataclass(frozen=True)
class Restored:
    """A checkpoint that was read and verified.

    Attributes:
      state: the train state, sharded as asked for.
      step: its step.
      problems: one line for each newer checkpoint that was skipped as damaged.
    """

    state: Any
    step: int
    problems: tuple[str, ...]


class CheckpointStore:
    """The checkpoints of one run, in `workdir`/checkpoints. Use as a context manager.

    Args:
      workdir: the run's folder.
      config: config.checkpoint (`keep` newest and one every `keep_every_steps` are kept), or None to read only.
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
                cleanup_tmp_directories=True,  # halves of saves that were killed
            )
        self._manager = ocp.CheckpointManager(self._folder, options=options)

    def __enter__(self) -> "CheckpointStore":
        return self

    def __exit__(self, *exception: object) -> None:
        with self._saving():
            self._manager.close()  # waits for a save in progress

    def steps(self) -> list[int]:
        """Steps that were saved, in order."""
        return sorted(self._manager.all_steps())

    def save(self, step: int, state: Any, data_iterator: Any | None = None) -> None:
        """Save in the background; a save that is in progress is waited for first.

        Raises:
          CheckpointError: this one, or the one in progress, could not be saved.
        """
        if step in self._manager.all_steps():
            return
        digests = {"digest": int(digest(state)), "position_digest": None}
        items = {"state": ocp.args.StandardSave(state)}
        if data_iterator is not None:
            digests["position_digest"] = _position_digest(data_iterator)
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
        """The newest sound checkpoint, or the one of `step`; None if there is none at all.

        Args:
          abstract_state: shapes, dtypes and shardings of the state.
          data_iterator: moved to the position at which the checkpoint was saved, if given; left alone where the
            checkpoint has no position, as imported ones have not.
          step: read this one and no other.

        Raises:
          CheckpointError: there are checkpoints, and none of them can be read.
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
            except Exception as error:  # Whatever a damaged file makes the reader raise.
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
                + "\nTo start anew, give another --workdir."
            )
        return None

    def set_aside_after(self, step: int) -> list[pathlib.Path]:
        """Move checkpoints newer than `step` to checkpoints_damaged/, so that their steps can be saved again."""
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
                f"A checkpoint could not be saved in {self._folder} ({reason}). Those before it are"
                " sound: mend the cause and start the same command again."
            ) from error

    def _read(self, step: int, abstract_state: Any, data_iterator: Any | None) -> Any:
        args = ocp.args.Composite(digest=ocp.args.JsonRestore())
        digests = self._manager.restore(step, args=args)["digest"]
        items = {"state": ocp.args.StandardRestore(abstract_state)}
        if data_iterator is not None and digests["position_digest"] is not None:
            items["data"] = grain.checkpoint.CheckpointRestore(data_iterator)
        state = self._manager.restore(step, args=ocp.args.Composite(**items))["state"]
        found = {"digest": int(digest(state))}
        if "data" in items:
            found["position_digest"] = _position_digest(data_iterator)
        if any(value != digests[name] for name, value in found.items()):
            raise ValueError("its contents do not match the digests saved with them")
        return state


def _position_digest(data_iterator: Any) -> int:
    return zlib.crc32(json.dumps(data_iterator.get_state(), sort_keys=True).encode())


@jax.jit
def digest(tree: Any) -> jax.Array:
    """Position-dependent checksum (uint32) of the bits of all arrays; independent of the sharding."""
    total = jnp.uint32(0)
    for leaf in jax.tree.leaves(tree):
        bits = jax.lax.bitcast_convert_type(leaf, jnp.uint32).reshape(-1)
        weights = 2 * jnp.arange(bits.size, dtype=jnp.uint32) + 1
        total = total * jnp.uint32(31) + jnp.sum(bits * weights, dtype=jnp.uint32)
    return total


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:200]}"
