"""Turn an official checkpoint into a run: python -m ocgm.convert --config=... --checkpoint=FILE --workdir=DIR.

Reads .pth/.pt/.ckpt (needs PyTorch; opened with weights_only, so no code in the file is run), .safetensors (needs
safetensors), .npz with one array a parameter, and .index of a TensorFlow checkpoint of the published Slot Attention.
"""

import pathlib

import jax
import numpy as np
from absl import app, flags
from ml_collections import config_flags

from ocgm import models, run_dir
from ocgm.commands import cli
from ocgm.errors import CheckpointError, ConfigError
from ocgm.interop import tf_checkpoint, torch_import
from ocgm.interop.parameter_names.slot_attention import keras_names
from ocgm.training import objectives, optimizers
from ocgm.training.checkpoint import CheckpointStore
from ocgm.training.step import TrainState

_CONFIG = config_flags.DEFINE_config_file("config", None, "Experiment that the checkpoint is of.")
_CHECKPOINT = flags.DEFINE_string("checkpoint", None, "The authors' file.")
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder of the run to make; must not hold checkpoints."
)
# Keys under which training scripts keep the weights.
_NESTED = ("model_state_dict", "state_dict", "model")


def read_state_dict(path: pathlib.Path) -> tuple[dict[str, np.ndarray], int]:
    """Parameters by name and, if the file tells it, the iteration (0 if not).

    Raises:
      CheckpointError: no such file, an unknown format, a package is missing, or the file is damaged.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file.")
    readers = {
        ".npz": _read_npz,
        ".safetensors": _read_safetensors,
        ".index": _read_tensorflow,
    }
    reader = readers.get(path.suffix.lower(), _read_torch)
    try:
        content = reader(path)
    except ImportError as error:
        raise CheckpointError(
            f"{path}: reading it needs {error.name}; pip install {error.name}."
        ) from error
    except CheckpointError:
        raise
    except Exception as error:  # Each format raises its own kinds for a damaged file.
        raise CheckpointError(f"{path} cannot be read as a checkpoint ({error}).") from error
    step = int(content.get("iter_idx", content.get("step", 0)))
    for key in _NESTED:
        content = content.get(key, content)
    weights = {}
    for name, value in content.items():
        array = np.asarray(value)
        if array.dtype.kind == "f":
            weights[name.removeprefix("module.")] = array
    return weights, step


def _read_npz(path: pathlib.Path) -> dict:
    with np.load(path) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _read_safetensors(path: pathlib.Path) -> dict:
    from safetensors.numpy import load_file

    return load_file(path)


def _read_tensorflow(path: pathlib.Path) -> dict:
    return keras_names(tf_checkpoint.read(path))


def _read_torch(path: pathlib.Path) -> dict:
    import torch

    return torch.load(path, map_location="cpu", weights_only=True)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments: {argv[1:]}")
    config, workdir = _CONFIG.value, cli.folder(_WORKDIR.value)
    if config.num_seeds > 1:
        raise ConfigError("config.num_seeds must be 1: a checkpoint is of one seed.")
    weights, step = read_state_dict(cli.folder(_CHECKPOINT.value))
    model = models.build(config.model)
    variables = torch_import.to_variables(model, weights)
    if (workdir / "checkpoints").exists():
        raise ConfigError(f"--workdir={workdir} already holds checkpoints; give another folder.")
    run_dir.claim_workdir(workdir, config)
    params = variables.pop("params")
    opt_state = optimizers.build(config).init(params)
    # A file may hold the error's weight, GECO's; without GECO it means nothing.
    imported = variables.pop("loss_weights", {})
    variables = objectives.with_weights(variables, opt_state)
    if "geco" in config.objective.name:
        variables["loss_weights"] |= imported
    state = TrainState(
        step=np.int32(step),
        params=params,
        model_state=variables,
        opt_state=opt_state,
        failed=np.int32(0),
    )
    with CheckpointStore(workdir, config.checkpoint) as checkpoints:
        checkpoints.save(step, jax.device_put(state))
    size = sum(leaf.size for leaf in jax.tree.leaves(params))
    print(f"imported {size:,} parameters of step {step:,} into {workdir}")


if __name__ == "__main__":
    flags.mark_flags_as_required(["config", "checkpoint", "workdir"])
    cli.run(main)
