"""Runs of the reconstruction-bottlenecks study and their results."""

import ast
import dataclasses
import itertools
import pathlib

from ml_collections import ConfigDict

from ocgm import experiment, run_dir
from ocgm.errors import ConfigError, UserError, did_you_mean, one_line

ERROR_AVERAGE = "train/reconstruction_error_average_per_element"


@dataclasses.dataclass(frozen=True)
class Run:
    """One training run of the sweep."""

    dataset: str
    model: str
    latent_size: int
    seed: int

    @property
    def folder(self) -> str:
        """Return the subdirectory of the sweep's workdir."""
        return f"{self.dataset}/{self.model}/latent_{self.latent_size}/seed_{self.seed}"

    @property
    def spec(self) -> str:
        """Return the SPEC of configs/reconstruction_bottlenecks.py."""
        return f"{self.dataset},{self.model},{self.latent_size}"

    def config(self, overrides: dict[str, object]) -> ConfigDict:
        """Return the config with some fields changed.

        Raises:
          ConfigError: a field does not exist or has another type.
        """
        config = experiment.load_config(f"reconstruction_bottlenecks:{self.spec}")
        config.seed = self.seed
        try:
            config.update_from_flattened_dict(overrides)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"--override: {one_line(error)}") from error
        return config


@dataclasses.dataclass(frozen=True)
class Result:
    """Result of a finished run.

    Attributes:
      run: the run.
      trained_on: name of the training dataset; differs from `run.dataset` where it was overridden.
      steps: number of training steps.
      iterations_to_goal: first logged step at which the average error meets GECO's goal; None if there is none.
      final_error: moving average of the training error after the last step, nats per pixel and channel.
      ari_fg: ARI-FG on held-out images; None where the dataset has no masks.
    """

    run: Run
    trained_on: str
    steps: int
    iterations_to_goal: int | None
    final_error: float
    ari_fg: float | None


def parse_overrides(texts: list[str]) -> dict[str, object]:
    """Return {field: value} of FIELD=VALUE texts; values are Python literals, or else strings.

    Raises:
      UserError: a text is not FIELD=VALUE.
    """
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
    """Return the runs of a sweep; sizes that the paper does not have for a model are left out.

    Raises:
      UserError: a name is unknown, a number is not whole, or no run is left.
    """
    patterns = experiment.config_specs("reconstruction_bottlenecks")
    known = experiment.expand_specs(patterns)
    for dataset, model in itertools.product(datasets, models):
        if not any(spec.startswith(f"{dataset},{model},") for spec in known):
            near = did_you_mean(f"{dataset},{model}", {spec.rpartition(",")[0] for spec in known})
            raise UserError(
                f"the paper has no {model} on {dataset}; it has {'; '.join(patterns)}{near}"
            )
    try:
        numbers = list(map(int, latent_dims)), list(map(int, seeds))
    except ValueError as error:
        raise UserError(f"--latent_dims and --seeds must be whole numbers: {error}.") from error
    combinations = itertools.product(datasets, models, *numbers)
    runs = [run for run in itertools.starmap(Run, combinations) if run.spec in known]
    if not runs:
        raise UserError(
            f"the paper has none of --latent_dims={','.join(map(str, latent_dims))} for"
            f" {', '.join(models)}; it has {'; '.join(patterns)}."
        )
    return runs


def read_result(run: Run, folder: pathlib.Path, config: ConfigDict) -> Result | None:
    """Return the result of a run in `folder`; None if it has not finished."""
    path = folder / "metrics.jsonl"
    if not path.exists():
        return None
    metrics = {
        name: dict(zip(steps.tolist(), values.tolist(), strict=True))
        for name, (steps, values) in run_dir.read_metrics(path).items()
    }
    errors, last = metrics.get(ERROR_AVERAGE, {}), config.num_train_steps
    if last not in errors or last not in metrics.get("eval/mean_squared_error", {}):
        return None
    reached = [step for step, error in sorted(errors.items()) if error <= config.objective.goal]
    return Result(
        run=run,
        trained_on=config.data.name,
        steps=last,
        iterations_to_goal=int(reached[0]) if reached else None,
        final_error=errors[last],
        ari_fg=metrics.get("eval/ari_fg", {}).get(last),
    )
