"""Runs of the reconstruction-bottlenecks study, what they reached, and how that is shown beside the paper's values."""

import ast
import dataclasses
import itertools
import json
import pathlib
import statistics

import matplotlib.pyplot as plt
from ml_collections import ConfigDict

from ocgm import experiment
from ocgm.data import registry
from ocgm.errors import ConfigError, UserError

MODELS = {
    "genesis": "GENESIS",
    "genesis_symmetric": "symmetric GENESIS",
    "sbd_vae": "SBD-VAE",
    "dc_vae": "DC-VAE",
}
ERROR_AVERAGE = "train/reconstruction_error_average_per_element"
# Tables 1 and 2: final average of the error per element, or, as whole numbers, iterations until GECO's goal.
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
PAPER = {
    ("sbd_vae", "multi_dsprites"): (0.5885, 0.5820, 0.5763, 0.5730, 0.5697, 0.5676, 0.5675, 0.5676, 0.5674),
    ("sbd_vae", "shapestacks"): (0.5852, 0.5819, 0.5785, 0.5754, 0.5730, 0.5709, 0.5712, 0.5715, 0.5710),
    ("sbd_vae", "objects_room"): (0.6064, 0.5921, 0.5820, 0.5767, 0.5715, 0.5703, 0.5698, 0.5700, 0.5700),
    ("dc_vae", "multi_dsprites"): (0.6008, 0.5808, 0.5753, 0.5697, 0.5660, 79_000, 21_000, 10_000, 8_000),
    ("dc_vae", "shapestacks"): (0.5820, 0.5766, 0.5726, 0.5683, 246_000, 25_000, 9_000, 6_000, 5_000),
    ("dc_vae", "objects_room"): (0.6082, 0.5904, 0.5825, 0.5733, 0.5668, 61_000, 16_000, 7_000, 6_000),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Run:
    """One training of the sweep."""

    dataset: str
    model: str
    latent_size: int
    seed: int

    @property
    def folder(self) -> str:
        return f"{self.dataset}/{self.model}/latent_{self.latent_size}/seed_{self.seed}"

    @property
    def spec(self) -> str:
        return f"{self.dataset},{self.model},{self.latent_size}"

    def config(self, overrides: dict[str, object]) -> ConfigDict:
        config = experiment.load_config(f"reconstruction_bottlenecks:{self.spec}")
        config.seed = self.seed
        try:
            config.update_from_flattened_dict(overrides)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"--override: {' '.join(str(error).split())}") from error
        return config


@dataclasses.dataclass(frozen=True)
class Result:
    """What a finished run reached.

    Attributes:
      run: which one.
      trained_on: name of the dataset that it was trained on, where that was overridden another one than `run`'s.
      steps: number of updates.
      iterations_to_goal: first logged step with the average error at most at GECO's goal, None if there is none.
      final_error: average error after the last step, nats per pixel and channel.
      ari_fg: of the held-out images; None where the data has no masks.
    """

    run: Run
    trained_on: str
    steps: int
    iterations_to_goal: int | None
    final_error: float
    ari_fg: float | None


def parse_overrides(texts: list[str]) -> dict[str, object]:
    """{field: value} of FIELD=VALUE texts; values are Python literals, or else strings."""
    overrides = {}
    for text in texts:
        field, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"--override={text} is not FIELD=VALUE.")
        try:
            overrides[field] = ast.literal_eval(value)
        except (SyntaxError, ValueError):
            overrides[field] = value
    return overrides


def select_runs(datasets, models, latent_dims, seeds) -> list[Run]:
    """The runs of a sweep; sizes that the paper does not have for a model are left out.

    Raises:
      UserError: unknown names, no run at all.
    """
    patterns = experiment.config_specs("reconstruction_bottlenecks")
    known = experiment.expand_specs(patterns)
    for dataset, model in itertools.product(datasets, models):
        if not any(spec.startswith(f"{dataset},{model},") for spec in known):
            raise UserError(f"the paper has no {model} on {dataset}; it has {'; '.join(patterns)}.")
    try:
        numbers = list(map(int, latent_dims)), list(map(int, seeds))
    except ValueError as error:
        raise UserError(f"--latent_dims and --seeds are whole numbers: {error}.") from error
    combinations = itertools.product(datasets, models, *numbers)
    runs = [run for run in itertools.starmap(Run, combinations) if run.spec in known]
    if not runs:
        raise UserError(
            f"the paper has none of --latent_dims={','.join(map(str, latent_dims))} for"
            f" {', '.join(models)}; it has {'; '.join(patterns)}."
        )
    return runs


def read_result(run: Run, folder: pathlib.Path, config: ConfigDict) -> Result | None:
    """The result of a run in `folder`; None where it has not finished."""
    path = folder / "metrics.jsonl"
    if not path.exists():
        return None
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    # A run that was stopped and went on has logged some steps twice, with the same values.
    errors = {row["step"]: row[ERROR_AVERAGE] for row in rows if ERROR_AVERAGE in row}
    scores = {row["step"]: row for row in rows if "eval/mean_squared_error" in row}
    last = config.num_train_steps
    if last not in errors or last not in scores:
        return None
    reached = [step for step, error in sorted(errors.items()) if error <= config.objective.goal]
    return Result(
        run=run,
        trained_on=config.data.name,
        steps=last,
        iterations_to_goal=reached[0] if reached else None,
        final_error=errors[last],
        ari_fg=scores[last].get("eval/ari_fg"),
    )


def table(results: list[Result]) -> str:
    """Markdown: rows of models and datasets, measured and of the paper; columns are sizes of the latent."""
    sizes = sorted({result.run.latent_size for result in results})
    lines = [
        "Iterations to GECO's goal, or the final average error per element where it was not reached; means over"
        " seeds, in brackets their number.",
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
    """The paper's values by size; none where the runs were on other data, or the tables lack the model."""
    if trained_on != dataset or (model, dataset) not in PAPER:
        return {}
    return dict(zip(SIZES, PAPER[model, dataset], strict=True))


def _groups(results: list[Result]) -> dict[tuple[str, str, str], list[Result]]:
    groups = {}
    for result in results:
        key = (result.run.model, result.run.dataset, result.trained_on)
        groups.setdefault(key, []).append(result)
    return groups


def _cell(results: list[Result]) -> str:
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
    """Error, and for models with slots ARI-FG, against the size of the latent; one PNG for each model and dataset."""
    paths = []
    for (model, dataset, trained_on), group in _groups(results).items():
        measures = {"error per element": "final_error"}
        if not model.endswith("_vae"):
            measures["ARI-FG"] = "ari_fg"
        figure, axes = plt.subplots(
            1,
            len(measures),
            figsize=(5.4 * len(measures), 3.8),
            squeeze=False,
            layout="constrained",
        )
        figure.suptitle(f"{MODELS[model]} on {_data_title(trained_on)}", fontsize="medium")
        for axis, (title, attribute) in zip(axes[0], measures.items(), strict=True):
            sizes = sorted({result.run.latent_size for result in group})
            by_size = [[r for r in group if r.run.latent_size == size] for size in sizes]
            values = [[getattr(r, attribute) for r in runs] for runs in by_size]
            spread = [statistics.stdev(v) if len(v) > 1 else 0.0 for v in values]
            means = [statistics.mean(v) for v in values]
            axis.errorbar(
                sizes, means, yerr=spread, marker="o", capsize=3, label=f"measured, {_steps(group)}"
            )
            paper = _paper_values(model, dataset, trained_on)
            errors = {size: v for size, v in paper.items() if isinstance(v, float)}
            if attribute == "final_error" and errors:
                axis.plot(errors.keys(), errors.values(), "--s", label="paper, 500,000 steps")
            axis.set_xscale("log", base=2)
            axis.set(xlabel="size of the component latent", ylabel=title)
            axis.set_xticks(SIZES, [str(size) for size in SIZES])
            axis.legend()
        paths.append(folder / f"{model}_{dataset}.png")
        figure.savefig(paths[-1], dpi=130)
        plt.close(figure)
    return paths
