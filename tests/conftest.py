"""Settings of JAX, a tiny experiment and one finished run of it, for all tests."""

import os
import pathlib
import signal
from collections.abc import Callable

# Before anything imports JAX; subprocesses of the tests inherit it.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "2")
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", str(pathlib.Path(__file__).parents[1] / ".cache" / "jax")
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
os.environ.setdefault("JAX_NUMPY_RANK_PROMOTION", "raise")
# Compiling takes most of the suite's time, and a third of it without LLVM's optimisations and MLIR's fusion emitters.
os.environ["XLA_FLAGS"] = " ".join(
    [
        os.environ.get("XLA_FLAGS", ""),
        "--xla_backend_optimization_level=0",
        "--xla_llvm_disable_expensive_passes=true",
        "--xla_cpu_use_fusion_emitters=false",
        "--xla_cpu_parallel_codegen_split_count=1",
    ]
)

import jax
import ml_collections
import pytest
from absl import flags
from helpers import REFERENCE_STEPS

from ocgm import experiment
from ocgm.data import prepare
from ocgm.inference import TrainedModel, load
from ocgm.training import loop

flags.FLAGS.mark_as_parsed()
# `nohup make test &` ignores them, and the processes that tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

pytest_plugins = ["data_fixtures"]

# Files that take half a minute or more without compiling much.
_LONG = ("test_checkpoint.py", "test_signals.py", "test_run_dir.py", "test_system_errors.py")


def pytest_report_header() -> str:
    return f"jax {jax.__version__}, cache {jax.config.jax_compilation_cache_dir}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the reference run, and start with the long files, so that workers end at the same time."""
    for item in items:
        if "reference_run" in getattr(item, "fixturenames", ()):
            item.add_marker("compiles")
    long = {item.path for item in items if item.get_closest_marker("compiles")}
    long |= {item.path for item in items if item.path.name in _LONG}
    items.sort(key=lambda item: item.path not in long)


@pytest.fixture(scope="session")
def tiny_config(tmp_path_factory) -> Callable[..., ml_collections.ConfigDict]:
    """Return a function that makes configs of a small GENESIS-V2; keyword arguments are fields, `a__b` for `a.b`."""
    data_dir = str(tmp_path_factory.mktemp("data"))

    def make(**changes: object) -> ml_collections.ConfigDict:
        config = experiment.default_config("genesis_v2", "multi_dsprites")
        config.update_from_flattened_dict(
            {
                "batch_size": 8,
                "num_train_steps": REFERENCE_STEPS,
                "log_every_steps": 1,
                "model.num_slots": 3,
                "model.feature_dim": 8,
                "data.image_size": 32,
                "data.data_dir": data_dir,
                "data.num_examples": (48, 16, 16),
                "optimizer.learning_rate": 1e-3,
                "evaluation.every_steps": 10,
                "evaluation.num_images": 12,
                "evaluation.batch_size": 8,
                "evaluation.num_figure_images": 2,
                "checkpoint.every_steps": 5,
                "checkpoint.keep": 100,
                "checkpoint.keep_every_steps": 0,
            }
        )
        config.update_from_flattened_dict({k.replace("__", "."): v for k, v in changes.items()})
        return config

    prepare(make().data)
    return make


@pytest.fixture(scope="session", autouse=True)
def compiled_once():
    """Let runs whose configs compute the same share the compiled step and evaluation: tracing takes seconds."""
    steps, evaluators = {}, {}
    make_train_step, make_evaluator = loop.make_train_step, loop.make_evaluator

    def train_step(config, mesh):
        parts = (config.model, config.optimizer, config.objective)
        key = (*(part.to_json() for part in parts), config.seed, config.data.image_size, mesh)
        if key not in steps:
            steps[key] = make_train_step(config, mesh)
        return steps[key]

    def evaluator(config, model, mesh):
        settings = config.evaluation
        key = (model, config.data.name, settings.num_figure_images, mesh)
        key += (settings.model_options.to_json(),)
        if key not in evaluators:
            evaluators[key] = make_evaluator(config, model, mesh)
        return evaluators[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "make_train_step", train_step)
        patch.setattr(loop, "make_evaluator", evaluator)
        yield


@pytest.fixture(scope="session")
def reference_run(tiny_config, tmp_path_factory) -> pathlib.Path:
    """Return the directory of an uninterrupted run of the tiny config; tests must not change it."""
    folder = tmp_path_factory.mktemp("reference_run")
    loop.train(tiny_config(), folder)
    return folder


@pytest.fixture(scope="session")
def trained(reference_run) -> TrainedModel:
    """Return the model of the reference run."""
    return load(reference_run)
