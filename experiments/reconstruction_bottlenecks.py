"""Run the sweeps of "Reconstruction Bottlenecks in Object-Centric Generative Models" (Engelcke et al. 2020).

How large can the latent of a component be before a model stops segmenting, and how large must it be to reconstruct?

    python -m experiments.reconstruction_bottlenecks --workdir=runs/bottlenecks --datasets=multi_dsprites \\
        --models=sbd_vae,dc_vae --latent_dims=1,4,16 --seeds=0,1,2

trains one model after another in subdirectories of the workdir; the same command resumes an interrupted sweep. For a
cluster, `--print_commands` prints one command per run instead; run again afterwards, this collects their results.
Writes results.json, table.md (tables 1 and 2 with the paper's values) and figures.
"""

import dataclasses
import json
import pathlib

import jax
from absl import flags

from experiments.bottleneck_results import SIZES, draw, table
from experiments.bottleneck_runs import Run, parse_overrides, read_result, select_runs
from ocgm.commands import cli
from ocgm.files import write_atomically
from ocgm.training import loop

_DATASETS = flags.DEFINE_list("datasets", ["multi_dsprites"], "Datasets, comma-separated.")
_MODELS = flags.DEFINE_list(
    "models",
    ["sbd_vae", "dc_vae"],
    "From genesis, genesis_symmetric, sbd_vae, dc_vae; comma-separated.",
)
_LATENT_DIMS = flags.DEFINE_list(
    "latent_dims", None, "Sizes, comma-separated; by default all of the paper."
)
_SEEDS = flags.DEFINE_list(
    "seeds", ["0"], "Seeds, comma-separated; the paper has three for GENESIS."
)
_WORKDIR = flags.DEFINE_string("workdir", None, "Directory of the sweep.", required=True)
_PRINT_COMMANDS = flags.DEFINE_bool(
    "print_commands", False, "Print the commands and train nothing."
)
_OVERRIDE = flags.DEFINE_multi_string(
    "override",
    [],
    "FIELD=VALUE for the config of every run, such as num_train_steps=1000; may be repeated.",
)


def command(run: Run, workdir: pathlib.Path, overrides: dict[str, object]) -> str:
    """Return the command line of one run."""
    fields = {"seed": run.seed, **overrides}
    return " ".join(
        [
            "ocgm train",
            f"--config=reconstruction_bottlenecks:{run.spec}",
            f"--workdir={workdir / run.folder}",
            *(f"'--config.{name}={value}'" for name, value in fields.items()),
        ]
    )


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    workdir, overrides = pathlib.Path(_WORKDIR.value), parse_overrides(_OVERRIDE.value)
    sizes = _LATENT_DIMS.value or SIZES
    runs = select_runs(_DATASETS.value, _MODELS.value, sizes, _SEEDS.value)
    results = []
    for i, run in enumerate(runs, 1):
        folder, config = workdir / run.folder, run.config(overrides)
        result = read_result(run, folder, config)
        if result is None and _PRINT_COMMANDS.value:
            print(command(run, workdir, overrides))
        elif result is None:
            print(f"run {i} of {len(runs)}: {run.folder}", flush=True)
            loop.train(config, folder)
            jax.clear_caches()  # The next model compiles other programs.
            result = read_result(run, folder, config)
        if result is not None:
            results.append(result)
    if not results:
        return
    report, records = table(results), [dataclasses.asdict(result) for result in results]
    write_atomically(workdir / "results.json", json.dumps(records, indent=2).encode())
    write_atomically(workdir / "table.md", report.encode())
    print(f"\n{report}\n{len(results)} of {len(runs)} runs have finished.")
    print("\n".join(f"wrote {path}" for path in draw(results, workdir)))


if __name__ == "__main__":
    cli.run(main)
