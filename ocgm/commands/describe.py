"""Print what a config builds: python -m ocgm.describe --config=FILE. Needs no data and allocates no model."""

import jax
from absl import app, flags
from clu import parameter_overview
from ml_collections import config_flags

from ocgm import models, run_dir
from ocgm.commands import cli
from ocgm.models import abstract_variables

_CONFIG = config_flags.DEFINE_config_file("config", None, "Experiment, a file of configs/.")


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments: {argv[1:]}")
    config = _CONFIG.value
    model = models.build(config.model)
    variables = abstract_variables(model)
    params = variables["params"]
    print(parameter_overview.get_parameter_overview(params, include_stats=False))
    print(f"parameters: {sum(leaf.size for leaf in jax.tree.leaves(params)):,}\n")
    print(f"outputs for a batch of {config.batch_size}:")
    for name, shape in output_shapes(model, variables, config.batch_size).items():
        print(f"  {name}: {list(shape)}")
    print(f"\nconfig:\n{run_dir.to_json(config)}", end="")


def output_shapes(model, variables, batch_size: int) -> dict[str, tuple[int, ...]]:
    """Shapes of the arrays in a model's `Outputs`, by name."""
    images = jax.ShapeDtypeStruct((batch_size, model.image_size, model.image_size, 3), float)
    keys = {"latent": jax.random.key(0), "seed_scores": jax.random.key(0)}
    outputs = jax.eval_shape(
        lambda v, x: model.apply(v, x, train=False, rngs=keys), variables, images
    )
    leaves = jax.tree_util.tree_leaves_with_path(outputs)
    return {jax.tree_util.keystr(path).lstrip("."): leaf.shape for path, leaf in leaves}


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    cli.run(main)
