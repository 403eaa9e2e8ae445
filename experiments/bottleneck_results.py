"""Table and figures of the reconstruction-bottlenecks study, beside the paper's values."""

import pathlib
import statistics

import matplotlib.pyplot as plt

from experiments.bottleneck_runs import Result
from ocgm.data import registry

MODELS = {
    "genesis": "GENESIS",
    "genesis_symmetric": "symmetric GENESIS",
    "sbd_vae": "SBD-VAE",
    "dc_vae": "DC-VAE",
}
# Tables 1 and 2: final average of the error per element or, as whole numbers, iterations to GECO's goal.
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
PAPER = {
    ("sbd_vae", "multi_dsprites"): (0.5885, 0.5820, 0.5763, 0.5730, 0.5697, 0.5676, 0.5675, 0.5676, 0.5674),
    ("sbd_vae", "shapestacks"): (0.5852, 0.5819, 0.5785, 0.5754, 0.5730, 0.5709, 0.5712, 0.5715, 0.5710),
    ("sbd_vae", "objects_room"): (0.6064, 0.5921, 0.5820, 0.5767, 0.5715, 0.5703, 0.5698, 0.5700, 0.5700),
    ("dc_vae", "multi_dsprites"): (0.6008, 0.5808, 0.5753, 0.5697, 0.5660, 79_000, 21_000, 10_000, 8_000),
    ("dc_vae", "shapestacks"): (0.5820, 0.5766, 0.5726, 0.5683, 246_000, 25_000, 9_000, 6_000, 5_000),
    ("dc_vae", "objects_room"): (0.6082, 0.5904, 0.5825, 0.5733, 0.5668, 61_000, 16_000, 7_000, 6_000),
}  # fmt: skip


def table(results: list[Result]) -> str:
    """Return Markdown: a row per model and dataset, measured and from the paper; a column per size of the latent."""
    sizes = sorted({result.run.latent_size for result in results})
    lines = [
        "Iterations to GECO's goal, or the final average error per element where it was not reached; means over"
        " seeds (number of seeds).",
        "",
        f"| Model | Data | {' | '.join(map(str, sizes))} |",
        "|---|---|" + "---|" * len(sizes),
    ]
    for (model, dataset, trained_on), group in _groups(results).items():
        cells = [_cell([r for r in group if r.run.latent_size == size]) for size in sizes]
        steps = _steps(group)
        lines.append(
            f"| {MODELS[model]}, {steps} | {_data_title(trained_on)} | {' | '.join(cells)} |"
        )
        if paper := _paper_values(model, dataset, trained_on):
            cells = [_number(paper[size]) if size in paper else "" for size in sizes]
            lines.append(f"| {MODELS[model]}, paper, 500k steps | | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _paper_values(model: str, dataset: str, trained_on: str) -> dict[int, float]:
    """Return the paper's values by size; {} for runs on other data and models that its tables lack."""
    if trained_on != dataset or (model, dataset) not in PAPER:
        return {}
    return dict(zip(SIZES, PAPER[model, dataset], strict=True))


def _groups(results: list[Result]) -> dict[tuple[str, str, str], list[Result]]:
    """Return the results by model, dataset and training dataset."""
    groups = {}
    for result in results:
        key = (result.run.model, result.run.dataset, result.trained_on)
        groups.setdefault(key, []).append(result)
    return groups


def _cell(results: list[Result]) -> str:
    """Return a mean over seeds and their number, "" for no results."""
    if not results:
        return ""
    if all(result.iterations_to_goal for result in results):
        value = round(statistics.mean(result.iterations_to_goal for result in results))
    else:
        value = statistics.mean(result.final_error for result in results)
    return f"{_number(value)} ({len(results)})"


def _steps(results: list[Result]) -> str:
    lengths = sorted({result.steps for result in results})
    return " or ".join(f"{length:,}" for length in lengths) + " steps"


def _number(value: float) -> str:
    return f"{value / 1000:g}k its" if isinstance(value, int) else f"{value:.4f}"


def _data_title(name: str) -> str:
    spec = registry.get_spec(name)
    return f"{spec.title}, generated here" if spec.generated else spec.title


def draw(results: list[Result], folder: pathlib.Path) -> list[pathlib.Path]:
    """Write one PNG for each model and dataset: error and, of models with slots, ARI-FG by size of the latent.

    The error is the moving average of training, as in tables 1 and 2; figures 4 and 5 of the paper have the validation
    error.
    """
    paths = []
    for (model, dataset, trained_on), group in _groups(results).items():
        measures = {"final_error": "training error per element, moving average"}
        if not model.endswith("_vae"):
            measures["ari_fg"] = "ARI-FG"
        size = (5.4 * len(measures), 3.8)
        figure, axes = plt.subplots(
            1, len(measures), figsize=size, squeeze=False, layout="constrained"
        )
        figure.suptitle(f"{MODELS[model]} on {_data_title(trained_on)}", fontsize="medium")
        paper = _paper_values(model, dataset, trained_on)
        for axis, (attribute, title) in zip(axes[0], measures.items(), strict=True):
            _draw_measure(axis, group, attribute, paper)
            axis.set(xlabel="size of the component latent", ylabel=title)
        paths.append(folder / f"{model}_{dataset}.png")
        figure.savefig(paths[-1], dpi=130)
        plt.close(figure)
    return paths


def _draw_measure(
    axis: plt.Axes, group: list[Result], attribute: str, paper: dict[int, float]
) -> None:
    """Draw means and standard deviations over seeds and, for the error, the paper's values."""
    sizes = sorted({result.run.latent_size for result in group})
    by_size = [[r for r in group if r.run.latent_size == size] for size in sizes]
    values = [[getattr(r, attribute) for r in runs] for runs in by_size]
    means = [statistics.mean(v) for v in values]
    spread = [statistics.stdev(v) if len(v) > 1 else 0.0 for v in values]
    label = f"measured, {_steps(group)}"
    axis.errorbar(sizes, means, yerr=spread, marker="o", capsize=3, label=label)
    errors = {size: value for size, value in paper.items() if isinstance(value, float)}
    if attribute == "final_error" and errors:
        axis.plot(errors.keys(), errors.values(), "--s", label="paper, 500,000 steps")
    axis.set_xscale("log", base=2)
    axis.set_xticks(SIZES, [str(size) for size in SIZES])
    axis.legend()
