"""Measure time and memory of the models as the EfficientMORL paper compares them (section 4.4, figure 22).

    python -m experiments.efficiency --sides=64,96,128 --steps=0,1,3 --repeats=20 --largest_batch --output=DIR

times the forward pass (evaluation) and the gradient of the training loss, without an optimizer, on random images. The
paper reports means of 10,000 passes on one RTX 2080 Ti; this reports medians of `--repeats` turns on this machine, so
compare ratios only. IODINE is the official model with 1.18 M parameters; the paper's own has 2.75 M, so its ratios to
IODINE are larger. Temporaries and the largest batch that fits a memory are what XLA plans for the program of the
gradient; buffers that libraries allocate in addition (on a CPU those of convolutions) are not included. Writes
results.json, table.md and, with Matplotlib, efficiency.png.
"""

import dataclasses
import functools
import importlib.util
import io
import json
import time

import jax
import jaxlib
from absl import flags

from experiments.efficiency_results import Result, draw, table
from experiments.efficiency_runs import (
    FORWARD,
    MODELS,
    TRAINING,
    Case,
    all_cases,
    compile_program,
    init_variables,
    interleaved_seconds,
    largest_batch,
    memory_of,
    quartiles,
    select_variants,
    whole_numbers,
)
from ocgm.commands import cli
from ocgm.files import write_atomically

_SIDES = flags.DEFINE_list("sides", ["64", "96", "128"], "Image sides, comma-separated.")
_STEPS = flags.DEFINE_list(
    "steps", ["0", "1", "3"], "EfficientMORL's refinement steps, comma-separated."
)
_MODELS = flags.DEFINE_list("models", list(MODELS), f"From {', '.join(MODELS)}; comma-separated.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 4, "Number of images per batch.", 1)
_REPEATS = flags.DEFINE_integer("repeats", 20, "Number of timed turns.", 1)
_LARGEST_BATCH = flags.DEFINE_bool(
    "largest_batch",
    False,
    "Compute the largest batch that fits --memory_gib; compiles each model again.",
)
_MEMORY_GIB = flags.DEFINE_float(
    "memory_gib", 12.0, "Memory; the GPU of the paper has 12 GiB.", 0.0
)
_VERIFY = flags.DEFINE_bool(
    "verify", False, "Compile at the largest batch and the next one instead of extrapolating."
)
_OUTPUT = flags.DEFINE_string(
    "output", "", "Directory of the results; by default none are written."
)


def find_largest_batch(case: Case, planned: dict[int, int]) -> int:
    """Return the largest batch of a case, given the planned bytes of some batches."""
    batch = _BATCH_SIZE.value

    @functools.cache
    def bytes_of(batch_size):
        if batch_size in planned:
            return planned[batch_size]
        return memory_of(compile_program(case, TRAINING, batch_size))["total"]

    limit = _MEMORY_GIB.value * 2**30
    return largest_batch(bytes_of, (batch, 2 * batch), limit, _VERIFY.value)


def measure(cases: list[Case]) -> list[Result]:
    """Return the measurements of all cases, in their order."""
    batch, calls, found = _BATCH_SIZE.value, {}, {}
    for case in filter(lambda case: case.model, cases):
        start = time.perf_counter()
        variables = init_variables(case.model)
        images = jax.random.uniform(jax.random.key(2), (batch, case.side, case.side, 3))
        inputs = variables, images, jax.random.key(3)
        programs = {kind: compile_program(case, kind, batch) for kind in (FORWARD, TRAINING)}
        for kind, program in programs.items():
            calls[case.name, kind] = functools.partial(program, *inputs)
        memory = memory_of(programs[TRAINING])
        found[case.name] = {
            "parameters": sum(leaf.size for leaf in jax.tree.leaves(variables["params"])),
            "memory": memory,
        }
        if _LARGEST_BATCH.value:
            found[case.name]["largest_batch"] = find_largest_batch(case, {batch: memory["total"]})
        print(f"compiled {case.name}: {time.perf_counter() - start:.1f} s", flush=True)
    times = interleaved_seconds(calls, _REPEATS.value)
    results = []
    for case in cases:
        result = Result(case.variant.title, case.side, case.refusal)
        if case.model:
            seconds = {kind: quartiles(times[case.name, kind]) for kind in (FORWARD, TRAINING)}
            result = dataclasses.replace(result, seconds=seconds, **found[case.name])
        results.append(result)
    return results


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    variants = select_variants(_MODELS.value, whole_numbers("steps", _STEPS.value, least=0))
    cases = all_cases(variants, whole_numbers("sides", _SIDES.value, least=1))
    results = measure(cases)

    device = jax.devices()[0]
    run = {
        "device": f"{device.device_kind} ({device.platform})",
        "jax": jax.__version__,
        "jaxlib": jaxlib.__version__,
        "batch_size": _BATCH_SIZE.value,
        "repeats": _REPEATS.value,
    }
    heading = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in run.items())
    if _LARGEST_BATCH.value:
        run["memory_gib"] = _MEMORY_GIB.value
        heading += f"; largest batch for {_MEMORY_GIB.value:g} GiB"
        heading += ", verified" if _VERIFY.value else ", extrapolated"
    report = f"{heading}. Medians (quartiles).\n\n{table(results)}"
    print(f"\n{report}")
    if not _OUTPUT.value:
        return
    folder = cli.folder(_OUTPUT.value)
    record = {**run, "results": [dataclasses.asdict(result) for result in results]}
    files = {"results.json": json.dumps(record, indent=2).encode(), "table.md": report.encode()}
    if importlib.util.find_spec("matplotlib"):
        png = io.BytesIO()
        draw(results).savefig(png, format="png", dpi=130)
        files["efficiency.png"] = png.getvalue()
    for name, content in files.items():
        write_atomically(folder / name, content)
        print(f"wrote {folder / name}")


if __name__ == "__main__":
    cli.run(main)
