"""Convert a checkpoint of the authors into a run.

    ocgm convert --config=genesis_v2_shapestacks --checkpoint=model.ckpt --workdir=runs/official

Reads .pth, .pt and .ckpt files (needs PyTorch; opened with weights_only, so no code in the file is run), .safetensors
(needs safetensors), .npz with one array per parameter, and .index of a TensorFlow checkpoint of the published Slot
Attention. All other commands take the run, and training resumes from it.
"""

import jax
import jax.numpy as jnp
import ml_collections
from absl import flags as absl_flags

from ocgm import models, run_dir
from ocgm.commands import cli, config_flag, flags
from ocgm.errors import ConfigError
from ocgm.interop import state_dicts, torch_import
from ocgm.training import optimizers
from ocgm.training.checkpoint import CheckpointStore
from ocgm.training.step import TrainState

_CONFIG = config_flag.Config()
_CHECKPOINT = absl_flags.DEFINE_string("checkpoint", None, "The authors' file.", required=True)
_WORKDIR = flags.workdir("Directory of the run to create; it must not hold checkpoints.")


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    config, workdir = _CONFIG.value, cli.folder(_WORKDIR.value)
    weights, step = state_dicts.read(cli.folder(_CHECKPOINT.value))
    model = models.build(config.model)
    state = _train_state(config, torch_import.to_variables(model, weights), step)
    if (workdir / "checkpoints").exists():
        raise ConfigError(f"--workdir={workdir} already holds checkpoints; give another directory.")
    with (
        run_dir.claim_workdir(workdir, config),
        CheckpointStore(workdir, config.checkpoint) as checkpoints,
    ):
        checkpoints.save(step, jax.device_put(state))
    size = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    print(f"imported {size:,} parameters of step {step:,} into {workdir}")


def _train_state(config: ml_collections.ConfigDict, variables: dict, step: int) -> TrainState:
    """Return a train state of imported variables, with a fresh optimizer."""
    params = variables.pop("params")
    opt_state = optimizers.build(config).init(params)
    # A file may hold the weight of the error; it belongs to GECO.
    loss_weights, imported = opt_state["objective"].loss_weights, variables.pop("loss_weights", {})
    if "geco" in config.objective.name:
        loss_weights = loss_weights._replace(**imported)
    return TrainState(
        step=jnp.int32(step),
        params=params,
        model_state=variables,
        loss_weights=loss_weights,
        opt_state=opt_state,
        failed=jnp.int32(0),
    )
