"""Print the parameters, output shapes and resolved fields of a config.

    ocgm describe --config=genesis_v2_multi_dsprites

Reads no data and computes nothing.
"""

import jax
from clu import parameter_overview

from ocgm import models, run_dir
from ocgm.commands import cli, config_flag
from ocgm.models import abstract_variables, calls

_CONFIG = config_flag.Config()


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
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
    """Return the shapes of the arrays in a model's `Outputs`, by name."""
    images = jax.ShapeDtypeStruct((batch_size, model.image_size, model.image_size, 3), float)
    outputs = jax.eval_shape(
        lambda variables, images: calls.infer(model, variables, images, jax.random.key(0)),
        variables,
        images,
    )
    leaves = jax.tree_util.tree_leaves_with_path(outputs)
    return {jax.tree_util.keystr(path).lstrip("."): leaf.shape for path, leaf in leaves}
