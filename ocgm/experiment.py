"""Experiment configs: the GENESIS papers' protocol, shipped configs by name, and files with several experiments.

A config is a ConfigDict of plain data: numbers, strings and tuples. Each file of configs/ defines `get_config()`.
"""

import contextlib
import difflib
import importlib.util
import inspect
import itertools
import pathlib
import traceback
import types
from collections.abc import Collection, Iterator

from ml_collections import ConfigDict

from ocgm import models
from ocgm.data import registry
from ocgm.errors import ConfigError, UserError, did_you_mean, one_line
from ocgm.training import objectives, optimizers

_PACKAGE = pathlib.Path(__file__).parent


def default_config(model: str, dataset: str, **fields: object) -> ConfigDict:
    """Return the training protocol of the GENESIS papers: GECO, Adam at 1e-4, batch 32, 500,000 steps.

    `ocgm.training.config_ranges` has the legal range of every number.

    The image side and the number of slots K are those of the dataset's entry in `ocgm.data.registry`. The GECO goal is
    0.5655 nats per pixel and channel, on Sketchy 0.5645 (GENESIS, appendix B.4; GENESIS-V2, appendix E).

    Args:
      model: name of a model, `config.model.name`.
      dataset: name of a dataset, `config.data.name`.
      **fields: fields of the model that differ from its defaults.

    Raises:
      UserError: there is no such model or dataset.
    """
    data = registry.default_config(dataset)
    # A reference, so that --config.data.image_size sets the side of both the data and the model.
    of_data = {
        "image_size": data.get_ref("image_size"),
        "num_slots": registry.get_spec(dataset).num_slots,
    }
    required = {name: of_data[name] for name in models.required_fields(model) if name in of_data}
    goal = 0.5645 if dataset.removesuffix("_synthetic") == "sketchy" else 0.5655
    return ConfigDict(
        {
            "seed": 0,
            "batch_size": 32,
            "num_train_steps": 500_000,
            "max_train_minutes": 0.0,  # stop, evaluate and save after this time; 0 means no limit
            "model": {"name": model, **models.default_config(model), **required, **fields},
            "data": data,
            "objective": objectives.default_config("geco", goal=goal),
            "optimizer": optimizers.default_config("adam"),
            "evaluation": {
                "every_steps": 5_000,  # and at the end; 0 means only then
                "num_images": 320,
                "batch_size": 32,
                "num_figure_images": 8,
                "model_options": {},  # of the model's call, such as {"refinement_steps": 1}
            },
            "checkpoint": {"every_steps": 5_000, "keep": 3, "keep_every_steps": 125_000},
            "log_every_steps": 500,  # and the last step; 0 means only that one
            "curriculum": (),  # (from step, option of the model's call, value), ...
            "mesh": {"data": -1, "fsdp": 1},  # -1 means all devices that remain
        }
    )


def change_dataset(config: ConfigDict, before: str, given: Collection[str]) -> None:
    """Reset the variant and the protocol of a config whose dataset was changed to the new one's defaults.

    A published dataset and its synthetic stand-in share variants and protocols; those that the new one has stay.

    Args:
      config: an experiment, with the new `config.data.name`.
      before: the dataset that it had.
      given: fields whose values were given together with the new name, such as "data.variant"; they stay.

    Raises:
      UserError: there is no such dataset.
    """
    spec, former = registry.get_spec(config.data.name), registry.get_spec(before)
    fields = [
        field
        for field in ("variant", "protocol")
        if config.data[field] and f"data.{field}" not in given
    ]
    if spec == former or not fields:
        return
    # It imports TFDS, which takes a second.
    builder = importlib.import_module(spec.builder).Builder
    shared = {"variant": builder.VARIANTS, "protocol": builder.PROTOCOLS}
    is_pair = spec.stand_in == former.name or former.stand_in == spec.name
    for field in fields:
        if not (is_pair and config.data[field] in shared[field]):
            print(
                f"config.data.{field}: the default of {spec.name}, since"
                f" '{config.data[field]}' is one of {before}",
                flush=True,
            )
            config.data[field] = ""


# ---- configs by name


def config_names() -> list[str]:
    """Return the names of the configs that ship with ocgm."""
    return sorted(path.stem for path in _shipped_folder().glob("[!_]*.py"))


def config_path(name: str) -> pathlib.Path:
    """Return the file of a config, given without SPEC.

    Args:
      name: FILE.py, or the name of a shipped config such as "genesis_v2_objectsroom".

    Raises:
      ConfigError: there is no such file, or no such config.
    """
    path = pathlib.Path(name).expanduser()
    if name.endswith(".py") and not path.is_dir():
        if not path.is_file():
            raise ConfigError(f"--config={name}: there is no such file.")
        return path
    if name in config_names():
        return _shipped_folder() / f"{name}.py"
    if name and path.is_dir():
        raise ConfigError(f"--config={name} is a directory; give a file FILE.py.")
    near = difflib.get_close_matches(name, config_names(), n=4)
    hint = f"did you mean {' or '.join(near)}?" if near else f"they are in {_shipped_folder()}."
    raise ConfigError(
        f"--config={name} is neither a file FILE.py nor the name of a config that ships with ocgm; {hint}"
    )


def load_config(name: str) -> ConfigDict:
    """Return an experiment config, locked: a misspelt field is an error.

    Args:
      name: a file FILE.py[:SPEC], or a shipped config NAME[:SPEC] such as "genesis_v2_objectsroom" or
        "reconstruction_bottlenecks:multi_dsprites,genesis,16".

    Raises:
      ConfigError: there is no such config, it does not take this SPEC, its file has an error, or it lacks fields.
    """
    file, colon, spec = name.partition(":")
    path = config_path(file)
    module = _import(path)
    if not hasattr(module, "get_config"):
        raise ConfigError(f"--config={name}: {path} does not define get_config().")
    if colon and not inspect.signature(module.get_config).parameters:
        raise ConfigError(f"--config={name}: {path} holds one experiment and takes no ':{spec}'.")
    with _errors_of(path):
        config = module.get_config(*[spec] if colon else [])
    _check_complete(config, path)
    return config.lock()


def config_specs(name: str) -> tuple[str, ...]:
    """Return the patterns that the SPEC of a config has to match; () where the file holds one experiment.

    Args:
      name: as for `config_path`.

    Raises:
      ConfigError: there is no such config.
    """
    return getattr(_import(config_path(name)), "SPECS", ())


def _import(path: pathlib.Path) -> types.ModuleType:
    """Import a config file, which need not be on Python's path."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader  # always so for a .py file
    module = importlib.util.module_from_spec(spec)
    with _errors_of(path):
        spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def _errors_of(path: pathlib.Path) -> Iterator[None]:
    """Turn any error of a config file into a `ConfigError` that names the file and the line."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == str(path)]
        if isinstance(error, SyntaxError) and error.filename == str(path):
            lines = [error.lineno]
        where = f", line {lines[-1]}" if lines else ""
        text = f"{type(error).__name__}: {one_line(error)}"
        raise ConfigError(f"{path}{where}: {text}") from error


def _check_complete(config: object, path: pathlib.Path) -> None:
    """Check that a config file returned an experiment.

    Raises:
      ConfigError: it returned something else, or an experiment that lacks fields.
    """
    if not isinstance(config, ConfigDict):
        raise ConfigError(f"{path}: get_config() returned {config!r}, not a ConfigDict.")
    # The fields of these three depend on their names.
    of_name = ("model", "objective", "optimizer")
    complete = default_config("image_vae", "multi_dsprites")
    missing = [name for name in complete if name not in config]
    for name, part in complete.items():
        if name in of_name:
            part = {"name": part.name}
        if isinstance(part, dict | ConfigDict) and name in config:
            missing += [f"{name}.{field}" for field in part if field not in config[name]]
    if missing:
        raise ConfigError(
            f"{path}: the config lacks {', '.join(missing)}; start from"
            " ocgm.experiment.default_config, which has all fields."
        )


def _shipped_folder() -> pathlib.Path:
    """Return ocgm/configs of an installed wheel, or configs/ beside the package in a checkout."""
    installed = _PACKAGE / "configs"
    return installed if installed.is_dir() else _PACKAGE.with_name("configs")


# ---- files with several experiments, --config=FILE:SPEC


def expand_specs(patterns: tuple[str, ...]) -> list[str]:
    """Return every spec of patterns such as ("a|b,c",): ["a,c", "b,c"]."""
    return [
        ",".join(parts)
        for pattern in patterns
        for parts in itertools.product(*(choices.split("|") for choices in pattern.split(",")))
    ]


def split_spec(spec: str, patterns: tuple[str, ...]) -> list[str]:
    """Return the parts of a spec that matches one of the patterns.

    Raises:
      ConfigError: it matches none.
    """
    specs = expand_specs(patterns)
    if spec not in specs:
        raise ConfigError(
            f"--config=FILE:{spec}: SPEC must be one of {'  or  '.join(patterns)}"
            f"{did_you_mean(spec, specs)}"
        )
    return spec.split(",")
