"""Every config file: its docstring, its model and data, and the papers' settings where an error would be silent."""

import ast
import functools
import json
import re

import jax
import numpy as np
import pytest
from helpers import ROOT, command
from ml_collections import ConfigDict

from ocgm import experiment, models, run_dir
from ocgm.data import DATASETS, open_builder, prepare
from ocgm.errors import ConfigError, DatasetMissingError
from ocgm.models.base import Outputs, stream_keys
from ocgm.training import optimizers

load, specs = experiment.load_config, experiment.config_specs


FILES = experiment.config_names()
WITH_SPECS = [file for file in FILES if specs(file)]
NAMES = [
    name
    for file in FILES
    for name in [f"{file}:{spec}" for spec in experiment.expand_specs(specs(file))] or [file]
]


@functools.cache
def shapes(model_json: str) -> tuple[Outputs, dict]:
    """Return the shapes of outputs for two images, and of the variables, of a model's config as JSON."""
    model = models.build(run_dir.from_json(model_json))
    rngs = {"params": jax.random.key(0), **stream_keys(jax.random.key(1))}
    images = jax.ShapeDtypeStruct((2, model.image_size, model.image_size, 3), "float32")
    return jax.eval_shape(functools.partial(model.init_with_output, train=False), rngs, images)


def num_parameters(config: ConfigDict) -> int:
    _, variables = shapes(run_dir.to_json(config.model))
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


# ---- every file


@pytest.mark.parametrize("file", FILES)
def test_file(file):
    """A docstring with the command and the figure of the paper, and no import but ocgm's."""
    tree = ast.parse(experiment.config_path(file).read_text())
    docstring = ast.get_docstring(tree)
    assert re.search(rf"^ocgm train --config={file}[: ]", docstring, re.MULTILINE)
    assert "paper" in docstring
    assert docstring.splitlines()[0].endswith(".")
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    modules = [getattr(node, "module", None) or node.names[0].name for node in imports]
    assert {module.partition(".")[0] for module in modules} == {"ocgm"}


@pytest.mark.parametrize("name", NAMES)
def test_fields_fit(name):
    """Model, dataset, evaluation and optimizer agree with one another."""
    config = load(name)
    optimizers.build(config)
    model, data = models.build(config.model), DATASETS[config.data.name]
    options = {name for _, name, _ in config.curriculum} | set(config.evaluation.model_options)
    models.check_options(model, options)
    objects = 6 if config.data.variant == "clevr6" else data.max_objects
    if config.data.name != "folder" and not name.startswith("genesis_v2_any:clevr"):
        assert config.model.get("num_slots", objects + 1) >= objects + 1
    own_side = name.startswith(("quickstart", "pretrained", "genesis_v2_any:tetrominoes"))
    if not own_side and "efficient_morl" not in name:
        assert config.data.image_size == data.image_size
    config.data.image_size = 16  # one field sets the side of both
    assert config.model.image_size == 16


@pytest.mark.parametrize("name", NAMES)
def test_outputs(name):
    config = load(name)
    outputs, _ = shapes(run_dir.to_json(config.model))
    batch, slots, side = 2, config.model.get("num_slots", 1), config.data.image_size
    assert outputs.reconstruction.shape == (batch, side, side, 3)
    assert outputs.components.shape == (batch, slots, side, side, 3)
    for log_masks in (outputs.log_masks, *outputs.log_masks_by_origin.values()):
        assert log_masks.shape == (batch, slots, side, side, 1)
    assert outputs.slots.shape[:2] == outputs.active_slots.shape == (batch, slots)
    assert outputs.reconstruction_error.shape == (batch,)
    assert bool(outputs.kl) == (config.model.name not in ("slot_attention", "slot_mlp"))
    assert {term.shape for term in outputs.kl.values()} <= {(batch,), (batch, slots)}


# ---- what the papers publish


# Parameters of the authors' GENESIS family at 64x64 and 128x128 (at any K); None where there is no such model.
@pytest.mark.parametrize(
    ("name", "changes", "at_64", "at_128"),
    [
        ("genesis_multi_dsprites", {}, 12_620_548, 13_406_980),
        ("genesis_multi_dsprites", {"num_slots": 11}, 12_620_548, 13_406_980),
        ("genesis_multi_dsprites", {"symmetric": True}, 14_857_252, None),
        ("genesis_s_multi_dsprites", {}, 12_207_236, 12_207_236),
        ("genesis_s_multi_dsprites", {"num_slots": 11}, 12_207_236, 12_207_236),
        ("bd_vae_multi_dsprites", {}, 9_143_747, 9_143_747),
        ("dc_vae_multi_dsprites", {}, 11_549_091, 11_549_091),
        ("monet_multi_dsprites", {}, 974_085, 1_788_293),
        ("monet_g_multi_dsprites", {}, 974_085, 1_788_293),
        ("monet_g_multi_dsprites", {"num_slots": 11}, 974_085, 1_788_293),
        ("genesis_v2_multi_dsprites", {}, 2_729_422, 2_840_270),
        ("genesis_v2_multi_dsprites", {"num_slots": 11}, 2_729_422, 2_840_270),
        ("genesis_v2_multi_dsprites", {"autoregressive_prior": False}, 2_366_798, 2_477_646),
        ("genesis_v2_multi_dsprites", {"semi_convolutional": False}, 2_729_421, 2_840_269),
        ("genesis_v2_multi_dsprites", {"kernel": "laplacian"}, 2_729_422, 2_840_270),
        ("genesis_v2_multi_dsprites", {"kernel": "epanechnikov"}, 2_729_422, 2_840_270),
        ("reconstruction_bottlenecks:multi_dsprites,sbd_vae,16", {}, 369_539, 1_155_971),
        ("reconstruction_bottlenecks:multi_dsprites,dc_vae,16", {}, 2_606_243, None),
    ],
)
def test_parameters_of_genesis(name, changes, at_64, at_128):
    config = load(name)
    config.model.update(changes)
    for side, expected in ((64, at_64), (128, at_128)):
        config.data.image_size = side
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


@pytest.mark.parametrize("model", _SWEEPS)
def test_parameters_by_latent_size(model):
    for size, expected in zip(_SIZES, _SWEEPS[model], strict=True):
        name = f"reconstruction_bottlenecks:multi_dsprites,{model},{size}"
        if expected is None:
            with pytest.raises(ConfigError, match=f"multi_dsprites,{model},{size}"):
                load(name)
        else:
            assert num_parameters(load(name)) == expected


# Side, K and parameters of the models that refine slots.
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


@pytest.mark.parametrize("name", [n for n in NAMES if re.match("efficient_morl|slot_|iodine", n)])
def test_learning_rates(name):
    """The schedules of the papers, at the steps where they can be told apart."""
    config = load(name)
    rate = optimizers.learning_rate_schedule(config.optimizer)
    if name.startswith("iodine"):
        # By batch size, since the published rates are divided by the root of the number of devices.
        base = {4: 1e-3 / 8**0.5, 16: 3e-4 / 8**0.5, 128: 3e-4 / 2**0.5}[config.batch_size]
        np.testing.assert_allclose([rate(0), rate(1e6)], [base, base / 10], rtol=2e-3)
    else:
        # Halves every 100,000 steps; in EfficientMORL's code from the end of the warm-up on.
        halves = 0.5 if "efficient_morl" in name else 0.5**1.1
        np.testing.assert_allclose([rate(0), rate(110_000)], [0.0, 4e-4 * halves], rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "goal"),
    [
        ("genesis_v2_objectsroom", 6948.864),
        ("genesis_v2_apc", 27795.456),
        ("genesis_v2_sketchy", 27746.304),
        ("genesis_sketchy", 27746.304),
        ("monet_g_sketchy", 27746.304),
        ("efficient_morl_clevr6", -60991.5),
        ("efficient_morl_clevr6_128", -103219.2),
        ("efficient_morl_tetrominoes", -4498.2),
    ],
)
def test_goals(name, goal):
    """Goals of GECO in nats an image, as the authors' code computes them."""
    config = load(name)
    assert config.objective.goal * 3 * config.data.image_size**2 == pytest.approx(goal, rel=1e-6)


def test_refinement_steps():
    """EfficientMORL is evaluated with the number of refinement steps that training ends with."""
    for name in (name for name in NAMES if name.startswith("efficient_morl")):
        config = load(name)
        *_, steps = [config.model.refinement_steps, *(value for _, _, value in config.curriculum)]
        assert config.evaluation.model_options.to_dict() == {"refinement_steps": steps}
        assert all(step == 100_000 for step, _, _ in config.curriculum)


def test_changes_of_variants():
    """Ablations change the fields that they name and no other."""

    def changes(name, of):
        old, new = run_dir.flatten(load(of)), run_dir.flatten(load(name))
        return {field: new[field] for field in new if old[field] != new[field]}

    independent = "genesis_v2_independent_prior:shapestacks,epanechnikov"
    prior = {"model.autoregressive_prior": False, "model.kernel": "epanechnikov"}
    assert changes(independent, "genesis_v2_shapestacks") == prior
    mask_loss = {"model.mask_loss": True, "objective.initial_beta": 1e-10}
    assert changes("genesis_v2_shapestacks_mask_loss", "genesis_v2_shapestacks") == mask_loss
    symmetric = {"model.symmetric": True, "model.component_latent_size": 2}
    bottleneck = "reconstruction_bottlenecks:objects_room,genesis_symmetric,2"
    assert changes(bottleneck, "genesis_objectsroom") == symmetric
    assert not changes("reconstruction_bottlenecks:shapestacks,genesis,16", "genesis_shapestacks")

    full, ablation = "efficient_morl_ablations:clevr6,full", "efficient_morl_ablations:clevr6,"
    assert changes(f"{ablation}no_dual_gru", full) == {"model.dual_gru": False}
    assert changes(f"{ablation}deconv_decoder", full) == {"model.decoder": "deconv"}
    assert changes(f"{ablation}refinement_steps_0", full).keys() == {
        "model.refinement_steps",
        "evaluation.model_options",
    }
    assert not changes(f"{ablation}refinement_steps_3", full)
    for layers in (0, 1, 2, 4):
        assert changes(f"{ablation}layers_{layers}", full) == {"model.stochastic_layers": layers}
    full, ablation = "efficient_morl_tetrominoes", "efficient_morl_ablations:tetrominoes,"
    assert not changes(f"{ablation}full", full)
    for prior in ("bottom_up", "reversed"):
        assert changes(f"{ablation}{prior}", full) == {"model.prior": prior}


# ---- specs


@pytest.mark.parametrize("file", WITH_SPECS)
def test_default_spec(file):
    known = [load(f"{file}:{spec}") for spec in experiment.expand_specs(specs(file))]
    assert load(file) in known


@pytest.mark.parametrize(
    "name",
    [
        "genesis_v2_independent_prior:",
        "genesis_v2_independent_prior:objects_room",
        "genesis_v2_independent_prior:objects_room,gauss",
        "genesis_v2_independent_prior:laplacian,objects_room",
        "genesis_v2_independent_prior:objects_room,laplacian,",
        "genesis_v2_independent_prior:sketchy,laplacian",
        "reconstruction_bottlenecks:multi_dsprites,genesis",
        "reconstruction_bottlenecks:multi_dsprites,genesis,2",
        "reconstruction_bottlenecks:multi_dsprites,genesis_symmetric,32",
        "reconstruction_bottlenecks:gqn,genesis,16",
    ],
)
def test_impossible_spec(name):
    file, _, spec = name.partition(":")
    with pytest.raises(ConfigError) as error:
        load(name)
    assert f":{spec}: " in str(error.value)
    assert all(pattern in str(error.value) for pattern in specs(file))


def test_commands_take_a_spec(tmp_path):
    file = ROOT / "configs" / "genesis_v2_independent_prior.py"
    done = command("describe", f"--config={file}:shapestacks,laplacian", "--config.batch_size=2")
    assert done.status == 0, done.err
    assert "parameters: 2,366,798" in done.out
    assert "  components: [2, 9, 64, 64, 3]" in done.out
    arguments = (f"--workdir={tmp_path / 'run'}", f"--config.data.data_dir={tmp_path}")
    done = command("train", f"--config={file}:objects_room,laplacian", *arguments)
    assert done.status == 1
    assert done.err.startswith("error: Objects Room ('objects_room') is not at")


@pytest.mark.parametrize("name", ["describe", "train"])
def test_commands_report_impossible_specs(name):
    file = ROOT / "configs" / "genesis_v2_independent_prior.py"
    more = ["--workdir=somewhere"] if name == "train" else []
    done = command(name, f"--config={file}:objectsroom,laplacian", *more)
    assert (done.status, done.out) == (1, "")
    assert done.err == (
        "error: --config=FILE:objectsroom,laplacian: SPEC must be one of"
        " objects_room|shapestacks,gaussian|laplacian|epanechnikov; did you mean"
        " objects_room,laplacian?\n"
    )


# ---- datasets


def test_every_dataset_has_a_config():
    assert set(experiment.expand_specs(specs("genesis_v2_any"))) == set(DATASETS)


_DATA = {
    json.dumps(load(name).data.to_dict()): name
    for name in NAMES
    if not re.match("quickstart|pretrained|genesis_v2_any", name)
}


@pytest.mark.parametrize("name", _DATA.values())
def test_missing_data(name, tmp_path):
    """The error for published data that are missing names what to get and what runs instead."""
    data = load(name).data
    spec = DATASETS[data.name]
    if spec.generated:
        return
    data.data_dir = str(tmp_path)
    with pytest.raises(DatasetMissingError) as error:
        prepare(data)
    message = str(error.value)
    assert message.startswith(f"{spec.title} ('{spec.name}') is not at {tmp_path / spec.name}. ")
    assert spec.how_to_get in message
    if not spec.stand_in:
        return
    assert message.endswith(f"--config.data.name={spec.stand_in}")
    # The synthetic dataset has everything that this config needs.
    stand_in = open_builder(ConfigDict({**data, "name": spec.stand_in}))
    assert stand_in.info.features["image"].shape[0] >= data.image_size
