"""Every config file: it holds the papers' settings, and its model builds, runs and has the papers' size."""

import ast
import functools
import importlib
import json

import jax
import pytest
from helpers import ROOT, command
from ml_collections import ConfigDict

from configs import (
    common,
    efficient_morl_ablations,
    genesis_v2_independent_prior,
    reconstruction_bottlenecks,
)
from ocgm import models
from ocgm.data import DATASETS, open_builder, prepare
from ocgm.errors import ConfigError, DatasetMissingError
from ocgm.models import abstract_variables
from ocgm.models.base import Outputs
from ocgm.training import optimizers
from ocgm.training.step import stream_keys

_FILES = sorted(path.stem for path in (ROOT / "configs").glob("*.py"))
_FILES = [name for name in _FILES if name not in ("__init__", "common")]


def names(file: str) -> list[str]:
    """FILE, or FILE:SPEC for every spec that the file takes."""
    specs = common.expand_specs(getattr(importlib.import_module(f"configs.{file}"), "SPECS", ()))
    return [f"{file}:{spec}" for spec in specs] or [file]


_EXPERIMENTS = [name for file in _FILES for name in names(file)]
_OF_PAPERS = [
    name
    for name in _EXPERIMENTS
    if not name.startswith(("pretrained", "quickstart", "genesis_v2_any"))
]
_REFINING = ("efficient_morl", "iodine", "slot_attention", "slot_mlp")
_OF_GENESIS = [name for name in _OF_PAPERS if not name.startswith(_REFINING)]


def load(name: str) -> ConfigDict:
    """Config of FILE or FILE:SPEC."""
    file, *spec = name.split(":")
    return importlib.import_module(f"configs.{file}").get_config(*spec)


def model_of(config: ConfigDict) -> str:
    """`config.model` as a key of the caches below: many configs have the same model."""
    return json.dumps(config.model.to_dict(), sort_keys=True)


@functools.cache
def abstract(model: str) -> tuple:
    """A model and the shapes of its variables."""
    built = models.build(ConfigDict(json.loads(model)))
    return built, abstract_variables(built)


@functools.cache
def abstract_outputs(model: str, batch: int) -> Outputs:
    """Shapes of what a model returns."""
    built, variables = abstract(model)
    side, rngs = built.image_size, stream_keys(jax.random.key(0))
    images = jax.ShapeDtypeStruct((batch, side, side, 3), "float32")
    apply = functools.partial(built.apply, train=False, rngs=rngs)
    return jax.eval_shape(apply, variables, images)


def num_parameters(config: ConfigDict) -> int:
    """Number of trained parameters."""
    _, variables = abstract(model_of(config))
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


# ---- models


@pytest.mark.parametrize("name", _EXPERIMENTS)
def test_forward(name):
    config = load(name)
    batch, slots, side = 2, config.model.get("num_slots", 1), config.data.image_size
    outputs = abstract_outputs(model_of(config), batch)
    assert outputs.reconstruction.shape == (batch, side, side, 3)
    assert outputs.components.shape == (batch, slots, side, side, 3)
    assert outputs.log_masks.shape == (batch, slots, side, side, 1)
    for log_masks in outputs.log_masks_by_origin.values():
        assert log_masks.shape == outputs.log_masks.shape
    assert outputs.slots.shape[:2] == outputs.active_slots.shape == (batch, slots)
    assert outputs.reconstruction_error.shape == (batch,)
    assert bool(outputs.kl) == (config.model.name not in ("slot_attention", "slot_mlp"))
    assert {term.shape for term in outputs.kl.values()} <= {(batch,), (batch, slots)}


# The authors' models by what changes from the config, with their numbers of trained parameters at
# 64x64 and 128x128; None where there is no such model.
_PARAMETERS = {
    "genesis": (12_620_548, 13_406_980),
    "genesis_s": (12_207_236, 12_207_236),
    "genesis symmetric=True": (14_857_252, None),
    "one_slot_vae:broadcast": (369_539, 1_155_971),
    "one_slot_vae:deconv": (2_606_243, None),
    "image_vae:broadcast": (9_143_747, 9_143_747),
    "image_vae:deconv": (11_549_091, 11_549_091),
    "monet": (974_085, 1_788_293),
    "monet_g": (974_085, 1_788_293),
    "genesis_v2": (2_729_422, 2_840_270),
    "genesis_v2 autoregressive_prior=False": (2_366_798, 2_477_646),
    "genesis_v2 semi_convolutional=False": (2_729_421, 2_840_269),
    "genesis_v2 kernel='laplacian'": (2_729_422, 2_840_270),
    "genesis_v2 kernel='epanechnikov'": (2_729_422, 2_840_270),
    # The number of slots makes no difference.
    "genesis num_slots=11": (12_620_548, 13_406_980),
    "genesis_s num_slots=11": (12_207_236, 12_207_236),
    "monet num_slots=11": (974_085, 1_788_293),
    "genesis_v2 num_slots=11": (2_729_422, 2_840_270),
}


@pytest.mark.parametrize("side,column", [(64, 0), (128, 1)])
@pytest.mark.parametrize("model", _PARAMETERS)
def test_parameters(model, side, column):
    make, _, change = model.partition(" ")
    make, *decoder = make.split(":")
    config = getattr(common, make)("multi_dsprites", *decoder)
    config.data.image_size = side
    if change:
        field, _, value = change.partition("=")
        config.model[field] = ast.literal_eval(value)
    expected = _PARAMETERS[model][column]
    if expected is None:
        with pytest.raises(ConfigError, match=f"image_size={side}"):
            models.build(config.model)
    else:
        assert num_parameters(config) == expected


_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
# The same at 64x64 by size of the component latents; None where the paper has no such model.
_SWEEPS = {
    "genesis": [12_600_808, None, 12_604_756, None, 12_620_548, None, 12_683_716, None, 13_329_860],
    "genesis_symmetric": [13_374_922, 13_473_744, 13_671_388, 14_066_676, 14_857_252, *[None] * 4],
    "sbd_vae": [357_509, 358_311, 359_915, 363_123, 369_539, 382_371, 408_035, 459_363, 955_491],
    "dc_vae": [
        *(1_131_623, 1_229_931, 1_426_547, 1_819_779, 2_606_243),
        *(4_179_171, 7_325_027, 13_616_739, 26_200_163),
    ],
}


@pytest.mark.parametrize("column,size", list(enumerate(_SIZES)))
@pytest.mark.parametrize("model", _SWEEPS)
def test_parameters_by_latent_size(model, column, size):
    spec, expected = f"multi_dsprites,{model},{size}", _SWEEPS[model][column]
    if expected is None:
        with pytest.raises(ConfigError, match=spec):
            reconstruction_bottlenecks.get_config(spec)
    else:
        assert num_parameters(reconstruction_bottlenecks.get_config(spec)) == expected


# ---- settings


@pytest.mark.parametrize("file", _FILES)
def test_docstring_has_the_command(file):
    text = importlib.import_module(f"configs.{file}").__doc__
    assert ("make quickstart" if file == "quickstart" else f"--config=configs/{file}.py") in text


# Image side, K and GECO's goal.
_USE_OF_DATA = {
    "multi_dsprites": (64, 5, 0.5655),
    "gqn": (64, 7, 0.5655),
    "objects_room": (64, 7, 0.5655),
    "shapestacks": (64, 9, 0.5655),
    "sketchy": (128, 10, 0.5645),
    "apc": (128, 10, 0.5655),
    "multi_dsprites_deepmind": (64, 6, 0.5655),
}


@pytest.mark.parametrize("name", _OF_GENESIS)
def test_data(name):
    config = load(name)
    dataset = config.data.name.removesuffix("_synthetic")
    side, slots, goal = _USE_OF_DATA[dataset]
    said = dataset.removesuffix("_deepmind").replace("_", "")
    assert said in name.replace("_", "")
    assert config.data.image_size == config.model.image_size == side
    assert config.model.get("num_slots", slots) == slots
    assert config.objective.get("goal", goal) == goal


def test_models_have_slots():
    without = {name.split("_vae")[0] for name in _OF_PAPERS if "num_slots" not in load(name).model}
    assert {name.rpartition(",")[2] for name in without} == {"bd", "dc", "sbd"}


@pytest.mark.parametrize("name", [name for name in _OF_GENESIS if "textured" not in name])
def test_protocol(name):
    config = load(name)
    optimizers.build(config)
    model, objective, optimizer = config.model, config.objective, config.optimizer
    assert optimizer.learning_rate == 1e-4
    assert not (optimizer.warmup_steps or optimizer.clip_norm)
    recipe = (optimizer.name, config.batch_size, config.num_train_steps)
    sigmas = (model.get("background_sigma", model.component_sigma), model.component_sigma)
    if model.name == "monet" and not name.startswith("monet_g_"):
        assert recipe == ("rmsprop", 64, 1_000_000)
        assert (objective.name, objective.beta) == ("elbo", 0.5)
        assert sigmas == (0.09, 0.11)
    else:
        assert recipe == ("adam", 32, 500_000)
        assert objective.name == "geco"
        assert objective.initial_beta == (1e-10 if model.get("mask_loss") else 1.0)
        assert sigmas == (0.7, 0.7)


# Side, K, likelihood, D, decoder, sigma, GECO goal a pixel and channel, its speed-up, steps, curriculum, steps at test.
_EFFICIENT_MORL = {
    "tetrominoes": (35, 4, "gaussian", 32, "small", 0.3, -1.224, 1, 200_000, (), 3),
    "multi_dsprites": (64, 6, "gaussian", 64, "iodine", 0.1, None, None, 300_000, 1, 1),
    "clevr6": (96, 7, "mixture", 64, "iodine", 0.1, -2.206, 1, 300_000, 1, 1),
    "clevr6_128": (128, 11, "mixture", 64, "iodine", 0.1, -2.1, 5, 300_000, 2, 2),
}
_GRADIENT_BATCH = {"tetrominoes": 16}


@pytest.mark.parametrize("name", _EFFICIENT_MORL)
def test_efficient_morl(name):
    config = load(f"efficient_morl_{name}")
    optimizers.build(config)
    model, objective, optimizer = config.model, config.objective, config.optimizer
    side, slots, *of_model, goal, speedup, steps, later, at_test = _EFFICIENT_MORL[name]
    assert (config.data.image_size, model.num_slots) == (side, slots)
    fields = ("likelihood", "latent_size", "decoder", "component_sigma")
    assert [model[field] for field in fields] == of_model
    assert (model.prior, model.dual_gru, model.stochastic_layers) == ("reversed++", True, 3)
    assert (model.train_gradient_batch, model.eval_gradient_batch) == (
        _GRADIENT_BATCH.get(name, 4),
        1,
    )
    assert (objective.get("goal"), objective.get("speedup"), objective.beta) == (goal, speedup, 1.0)
    assert (config.batch_size, config.num_train_steps, config.seed) == (32, steps, 1)
    assert config.curriculum == (later and ((100_000, "refinement_steps", later),))
    assert config.evaluation.model_options.to_dict() == {"refinement_steps": at_test}
    assert optimizer.clip_norm == 5.0
    assert_halves(optimizer, begin=10_000)


def assert_halves(optimizer, begin):
    rate = optimizers.learning_rate_schedule(optimizer)
    assert rate(0) == 0
    assert rate(begin + 100_000) == pytest.approx(2e-4, rel=1e-5)
    assert rate(5_000) == pytest.approx(2e-4 if begin else 2e-4 * 0.5**0.05, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "side", "slots", "parameters"),
    [
        ("efficient_morl_tetrominoes", 35, 4, 467_236),
        ("efficient_morl_multi_dsprites", 64, 6, 666_500),
        ("efficient_morl_multi_dsprites_textured", 64, 6, 666_500),
        ("efficient_morl_clevr6", 96, 7, 666_500),
        ("efficient_morl_clevr6_128", 128, 11, 666_500),
        ("efficient_morl_ablations:clevr6,no_dual_gru", 96, 7, 723_972),
        ("efficient_morl_ablations:clevr6,deconv_decoder", 96, 7, 1_031_108),
        ("slot_attention_clevr6", 128, 7, 890_308),
        ("slot_attention_multi_dsprites", 64, 6, 235_812),
        ("slot_attention_tetrominoes", 35, 4, 235_812),
        ("slot_attention_of_efficient_morl:clevr6", 96, 7, 890_180),
        ("slot_attention_of_efficient_morl:multi_dsprites", 64, 6, 479_204),
        ("slot_attention_of_efficient_morl:tetrominoes", 35, 4, 419_236),
        ("iodine_clevr6", 128, 7, 1_177_168),
        ("iodine_multi_dsprites", 64, 6, 339_152),
        ("iodine_tetrominoes", 35, 4, 199_568),
    ],
)
def test_sizes_of_refining_models(name, side, slots, parameters):
    config = load(name)
    assert (config.data.image_size, config.model.num_slots) == (side, slots)
    assert num_parameters(config) == parameters


@pytest.mark.parametrize("dataset", ["clevr6", "multi_dsprites", "tetrominoes"])
@pytest.mark.parametrize("model", ["slot_attention", "slot_mlp"])
def test_slot_attention_protocol(model, dataset):
    config = load(f"{model}_{dataset}")
    assert (config.batch_size, config.num_train_steps) == (64, 500_000)
    assert (config.optimizer.clip_norm, config.objective.beta) == (0.0, 0.0)
    assert_halves(config.optimizer, begin=0)


@pytest.mark.parametrize(
    ("name", "batch", "rate"),
    [("clevr6", 4, 3.54e-4), ("multi_dsprites", 16, 1.06e-4), ("tetrominoes", 128, 2.12e-4)],
)
def test_iodine_protocol(name, batch, rate):
    config = load(f"iodine_{name}")
    optimizer = config.optimizer
    assert (config.batch_size, config.num_train_steps) == (batch, 1_000_000)
    assert (optimizer.b1, optimizer.clip_norm) == (0.95, 5.0)
    schedule = optimizers.learning_rate_schedule(optimizer)
    for step in (0, 500_000, 1_000_000):
        assert schedule(step) == pytest.approx(rate * 0.1 ** (step / 1e6), rel=1e-5)


def test_ablations():
    """Each changes what it says and nothing else."""
    changed = {
        "clevr6,full": {},
        "clevr6,no_dual_gru": {"dual_gru": False},
        "clevr6,deconv_decoder": {"decoder": "deconv"},
        "clevr6,no_geco": {},
        "clevr6,refinement_steps_0": {"refinement_steps": 0},
        "clevr6,refinement_steps_1": {"refinement_steps": 1},
        "clevr6,refinement_steps_3": {},
        **{f"clevr6,layers_{n}": {"stochastic_layers": n} for n in range(5)},
        "tetrominoes,full": {},
        "tetrominoes,bottom_up": {"prior": "bottom_up"},
        "tetrominoes,reversed": {"prior": "reversed"},
        "tetrominoes,no_geco": {},
    }
    assert set(changed) == set(common.expand_specs(efficient_morl_ablations.SPECS))
    for spec, change in changed.items():
        dataset, kind = spec.split(",")
        config, whole = load(f"efficient_morl_ablations:{spec}"), load(f"efficient_morl_{dataset}")
        steps = 50_000 if dataset == "clevr6" else 200_000
        assert config.num_train_steps == steps and config.curriculum == ()
        assert config.model.to_dict() == {**whole.model.to_dict(), **change}
        objective = common.elbo(1.0) if kind == "no_geco" else whole.objective
        assert config.objective == objective
        at_test = config.evaluation.model_options.refinement_steps
        assert at_test == config.model.refinement_steps


@pytest.mark.parametrize("name", _EXPERIMENTS)
def test_image_size_is_said_once(name):
    config = load(name)
    config.data.image_size = 16
    assert config.model.image_size == 16


def test_independent_prior():
    config = genesis_v2_independent_prior.get_config("shapestacks,epanechnikov")
    expected = common.genesis_v2("shapestacks")
    expected.model.update(autoregressive_prior=False, kernel="epanechnikov")
    assert config == expected


def test_bottlenecks():
    get_config = reconstruction_bottlenecks.get_config
    assert get_config("shapestacks,genesis,16") == common.genesis("shapestacks")
    symmetric = common.genesis("objects_room")
    symmetric.model.update(symmetric=True, component_latent_size=2)
    assert get_config("objects_room,genesis_symmetric,2") == symmetric
    deconv = get_config("shapestacks,dc_vae,256").model
    assert (deconv.name, deconv.decoder, deconv.latent_size) == ("one_slot_vae", "deconv", 256)
    broadcast = get_config("shapestacks,sbd_vae,16")
    assert broadcast == common.one_slot_vae("shapestacks", "broadcast")


# ---- specs


@pytest.mark.parametrize("module", [genesis_v2_independent_prior, reconstruction_bottlenecks])
def test_default_spec(module):
    specs = common.expand_specs(module.SPECS)
    assert module.get_config() in [module.get_config(spec) for spec in specs]


@pytest.mark.parametrize(
    "module,spec",
    [
        (genesis_v2_independent_prior, ""),
        (genesis_v2_independent_prior, "objects_room"),
        (genesis_v2_independent_prior, "objects_room,gauss"),
        (genesis_v2_independent_prior, "laplacian,objects_room"),
        (genesis_v2_independent_prior, "objects_room,laplacian,"),
        (genesis_v2_independent_prior, "sketchy,laplacian"),
        (reconstruction_bottlenecks, "multi_dsprites,genesis"),
        (reconstruction_bottlenecks, "multi_dsprites,genesis,2"),
        (reconstruction_bottlenecks, "multi_dsprites,genesis_symmetric,32"),
        (reconstruction_bottlenecks, "gqn,genesis,16"),
    ],
)
def test_impossible_spec(module, spec):
    with pytest.raises(ConfigError) as error:
        module.get_config(spec)
    assert f":{spec}: " in str(error.value)
    assert all(pattern in str(error.value) for pattern in module.SPECS)


def test_commands_take_a_spec(tmp_path):
    file = ROOT / "configs" / "genesis_v2_independent_prior.py"
    done = command("describe", f"--config={file}:shapestacks,laplacian", "--config.batch_size=2")
    assert done.status == 0, done.err
    assert "parameters: 2,366,798" in done.out
    assert "  components: [2, 9, 64, 64, 3]" in done.out
    arguments = (f"--workdir={tmp_path / 'run'}", f"--config.data.data_dir={tmp_path}")
    done = command("main", f"--config={file}:objects_room,laplacian", *arguments)
    assert done.status == 1
    assert done.err.startswith("error: Objects Room ('objects_room') is not at")


@pytest.mark.parametrize("name", ["describe", "main"])
def test_commands_tell_of_impossible_specs(name):
    file = ROOT / "configs" / "genesis_v2_independent_prior.py"
    more = ["--workdir=somewhere"] if name == "main" else []
    done = command(name, f"--config={file}:objectsroom,laplacian", *more)
    assert (done.status, done.out) == (1, "")
    assert done.err == (
        "error: --config=FILE:objectsroom,laplacian: SPEC must be one of"
        " objects_room|shapestacks,gaussian|laplacian|epanechnikov\n"
    )


# ---- datasets


@pytest.mark.parametrize("name", names("genesis_v2_any"))
def test_any_dataset(name):
    """There is a config for every dataset, whose model takes the dataset's images."""
    config = load(name)
    spec = DATASETS[name.split(":")[1]]
    assert config.data.name == spec.name
    side = 32 if "tetrominoes" in name else spec.image_size
    assert config.data.image_size == config.model.image_size == side
    assert config.model.num_slots == spec.num_slots
    models.build(config.model)


def test_every_dataset_has_a_config():
    assert {name.split(":")[1] for name in names("genesis_v2_any")} == set(DATASETS)


_DATA_OF_PAPERS = {json.dumps(load(name).data.to_dict()): name for name in _OF_PAPERS}


@pytest.mark.parametrize("name", _DATA_OF_PAPERS.values())
def test_missing_data(name, tmp_path):
    """Published data that are not there: the message says what to get and what runs instead."""
    data = load(name).data
    spec = DATASETS[data.name]
    if spec.generated:
        assert spec.name == "multi_dsprites" or data.variant == "textured"
        return
    data.data_dir = str(tmp_path)
    with pytest.raises(DatasetMissingError) as error:
        prepare(data)
    message = str(error.value)
    assert message.startswith(f"{spec.title} ('{spec.name}') is not at {tmp_path / spec.name}. ")
    assert spec.how_to_get in message
    assert message.endswith(f"--config.data.name={spec.stand_in}")
    # The stand-in has everything that this config asks for.
    stand_in = open_builder(ConfigDict({**data, "name": spec.stand_in}))
    assert stand_in.info.features["image"].shape[0] >= data.image_size


@pytest.mark.parametrize("name", _OF_PAPERS)
def test_slots_of_data(name):
    config = load(name)
    if name == "efficient_morl_clevr6_128":  # All of CLEVR, with eleven slots.
        return
    num_slots = DATASETS[config.data.name].num_slots
    assert config.model.get("num_slots", num_slots) == num_slots
