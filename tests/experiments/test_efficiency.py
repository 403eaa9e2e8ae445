"""The efficiency study: measurements at tiny sizes, extrapolation, tables and errors."""

import functools
import json
import re

import jax
import numpy as np
import pytest
from helpers import finish, start

from experiments import efficiency_results, efficiency_runs
from experiments.efficiency_results import BASELINE, Result
from experiments.efficiency_runs import FORWARD, TRAINING, Case, Variant
from ocgm import experiment
from ocgm.errors import UserError

SIDE = 16


@functools.cache
def tiny_case() -> Case:
    config = experiment.load_config("slot_attention_tetrominoes").model
    config.update(num_slots=2, latent_size=4, encoder_features=(4, 4), encoder_strides=(1, 1))
    config.update(hidden_size=4, decoder_features=4)
    (case,) = efficiency_runs.all_cases([Variant("tiny", config, {"iterations": 1})], [SIDE])
    return case


@functools.cache
def planned_bytes(batch_size: int) -> int:
    program = efficiency_runs.compile_program(tiny_case(), TRAINING, batch_size)
    return efficiency_runs.memory_of(program)["total"]


# ---- programs


@pytest.mark.compiles
def test_programs():
    """The forward pass is the model's in evaluation, the gradient that of the training loss."""
    case, batch = tiny_case(), 2
    variables = efficiency_runs.init_variables(case.model)
    images = jax.random.uniform(jax.random.key(2), (batch, SIDE, SIDE, 3))
    inputs = variables, images, jax.random.key(3)
    outputs = efficiency_runs.compile_program(case, FORWARD, batch)(*inputs)
    assert outputs.reconstruction.shape == images.shape and outputs.loss is None

    gradient = efficiency_runs.compile_program(case, TRAINING, batch)(*inputs)
    assert jax.tree.structure(gradient) == jax.tree.structure(variables["params"])
    # The published loss is the mean squared error of colours in [-1, 1], affine in the output's bias.
    bias = gradient["image_decoder"]["conv_3"]["bias"]
    expected = 4 * np.mean(outputs.reconstruction - images, axis=(0, 1, 2)) / 3
    np.testing.assert_allclose(bias[:3], expected, rtol=1e-3)


# ---- memory


@pytest.mark.compiles
def test_extrapolated_batch_is_the_compiled_one():
    probes, limit = (2, 4), planned_bytes(2) * 5
    found = efficiency_runs.largest_batch(planned_bytes, probes, limit, verify=True)
    assert found > 8
    assert planned_bytes(found) <= limit < planned_bytes(found + 1)
    guess = efficiency_runs.largest_batch(planned_bytes, probes, limit, verify=False)
    assert abs(guess - found) <= 0.05 * found


@pytest.mark.parametrize(
    ("bytes_of", "limit", "extrapolated", "verified"),
    [
        (lambda batch: 100 + 10 * batch, 200, 10, 10),
        (lambda batch: 100 + 10 * batch, 209, 10, 10),
        (lambda batch: 100 + 10 * batch, 109, 0, 0),
        (lambda batch: 100 + 10 * batch, 50, 0, 0),
        # Bytes that grow faster than the line said, and slower.
        (lambda batch: 100 + 10 * batch + batch * batch, 2000, 119, 38),
        (lambda batch: 100 + min(batch, 9) * 40 + batch, 500, 9, 40),
    ],
)
def test_largest_batch(bytes_of, limit, extrapolated, verified):
    def find(verify):
        return efficiency_runs.largest_batch(bytes_of, (2, 4), limit, verify)

    assert (find(verify=False), find(verify=True)) == (extrapolated, verified)


def test_extrapolation_looks_at_two_batches_only():
    asked = []

    def bytes_of(batch):
        asked.append(batch)
        return 10 * batch

    efficiency_runs.largest_batch(bytes_of, (4, 8), 1e6, verify=False)
    assert asked == [4, 8]


# ---- time


def test_calls_take_turns():
    order = []
    calls = {name: functools.partial(order.append, name) for name in "ABC"}
    times = efficiency_runs.interleaved_seconds(calls, repeats=2)
    assert "".join(order) == "ABC" * 3  # the first turn is not counted
    assert {name: len(seconds) for name, seconds in times.items()} == {"A": 2, "B": 2, "C": 2}
    assert all(second >= 0 for seconds in times.values() for second in seconds)


def test_quartiles():
    assert efficiency_runs.quartiles([5.0, 1.0, 2.0, 4.0, 3.0]) == (2.0, 3.0, 4.0)
    assert efficiency_runs.quartiles([7.0]) == (7.0, 7.0, 7.0)


# ---- results


def result(title: str, side: int, forward: float, training: float, **fields) -> Result:
    seconds = {kind: (0.5 * s, s, 2 * s) for kind, s in ((FORWARD, forward), (TRAINING, training))}
    memory = {"temporary": 3 * 2**20, "total": 4 * 2**20}
    return Result(title, side, "", 1234, seconds, memory, **fields)


RESULTS = [
    result(BASELINE, 64, 0.1, 0.2, largest_batch=17),
    result("IODINE", 64, 0.15, 0.5, largest_batch=5),
    Result("GENESIS", 64, refusal="image_size=64 is too odd."),
    result("IODINE", 96, 1.0, 2.0, largest_batch=2),
]


def test_ratios_are_to_the_baseline_at_the_same_side():
    ratios = efficiency_results.ratios(RESULTS, TRAINING)
    assert ratios == {(BASELINE, 64): 1.0, ("IODINE", 64): 2.5}


def test_table():
    header, rule, *rows = efficiency_results.table(RESULTS).splitlines()
    assert header.startswith(
        "| Model | side | parameters | forward, ms | to EfficientMORL, I = 1 |"
    )
    assert len({line.count("|") for line in (header, rule, *rows[:4])}) == 1
    assert rows == [
        f"| {BASELINE} | 64 | 1,234 | 100.0 (50.0 to 200.0) | 1.00 | 200.0 (100.0 to 400.0) | 1.00 | 3 | 17 |",
        "| IODINE | 64 | 1,234 | 150.0 (75.0 to 300.0) | 1.50 | 500.0 (250.0 to 1,000.0) | 2.50 | 3 | 5 |",
        "| GENESIS | 64 | side not supported |  |  |  |  |  |  |",
        "| IODINE | 96 | 1,234 | 1,000.0 (500.0 to 2,000.0) |  | 2,000.0 (1,000.0 to 4,000.0) |  | 3 | 2 |",
        "",
        "GENESIS, 64 px: image_size=64 is too odd.",
    ]
    assert "batch" not in efficiency_results.table([result(BASELINE, 64, 0.1, 0.2)])


def test_figure():
    panels = efficiency_results.draw(RESULTS).axes
    assert [len(panel.patches) for panel in panels] == [3, 3, 3]
    heights = sorted(bar.get_height() for bar in panels[0].patches)
    np.testing.assert_allclose(heights, [100, 150, 1000])


# ---- which models, and mistakes


def test_paper_comparison():
    variants = efficiency_runs.select_variants(efficiency_runs.MODELS, [0, 1, 3])
    assert [variant.title for variant in variants] == [
        "EfficientMORL, I = 0",
        "EfficientMORL, I = 1",
        "EfficientMORL, I = 3",
        "IODINE",
        "IODINE, remat",
        "GENESIS",
        "Slot Attention",
    ]
    assert {variant.config.num_slots for variant in variants} == {7}
    of = {variant.title: variant for variant in variants}
    assert of[BASELINE].options == {"refinement_steps": 1}
    assert (of[BASELINE].config.decoder, of[BASELINE].config.stochastic_layers) == ("iodine", 3)
    assert of["IODINE"].config.refinement_steps == 5 and not of["IODINE"].config.remat
    assert of["IODINE, remat"].config.remat
    assert of["Slot Attention"].build(96).decoder_grid == 0  # side / 16


def test_sides_that_a_model_cannot_have():
    variants = efficiency_runs.select_variants(["slot_attention", "genesis"], [])
    slot_attention, genesis = efficiency_runs.all_cases(variants, [96])
    assert slot_attention.model.image_size == 96 and not slot_attention.refusal
    assert genesis.model is None and "image_size=96 is not supported" in genesis.refusal
    with pytest.raises(UserError, match="--sides: no model takes 24.*'deconv'.*image_size=24"):
        efficiency_runs.all_cases(variants, [96, 24])


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (
            lambda: efficiency_runs.select_variants(["genesis", "iodyne"], [1]),
            "--models: iodyne is not one of efficient_morl, iodine,",
        ),
        (lambda: numbers("sides", ["64", "big"], 1), "--sides=64,big must be whole numbers"),
        (lambda: numbers("sides", ["0"], 1), "--sides=0 must be whole numbers of at least 1"),
        (lambda: numbers("steps", ["-1"], 0), "--steps=-1 must be whole numbers of at least 0"),
        (lambda: numbers("steps", [], 0), "--steps= must be"),
    ],
)
def test_mistakes(mistake, message):
    with pytest.raises(UserError, match=re.escape(message)):
        mistake()


numbers = efficiency_runs.whole_numbers


# ---- the command


def study(*arguments):
    return finish(start("-m", "experiments.efficiency", *arguments, devices=1))


@pytest.mark.compiles
def test_command(tmp_path):
    done = study(
        "--models=slot_attention,genesis",
        f"--sides={SIDE}",
        "--batch_size=1",
        "--repeats=3",
        "--largest_batch",
        "--memory_gib=0.5",
        f"--output={tmp_path}",
    )
    assert done.status == 0, done.err
    record = json.loads((tmp_path / "results.json").read_text())
    assert (record["batch_size"], record["repeats"], record["memory_gib"]) == (1, 3, 0.5)
    assert record["jax"] == jax.__version__ and "(cpu)" in record["device"]
    slot_attention, genesis = record["results"]
    assert (genesis["title"], genesis["seconds"]) == ("GENESIS", {})
    assert "image_size=16 is not supported" in genesis["refusal"]
    low, median, high = slot_attention["seconds"][TRAINING]
    assert 0 < low <= median <= high
    assert 0 < slot_attention["memory"]["temporary"] < slot_attention["memory"]["total"]
    assert 1 < slot_attention["largest_batch"] < 1_000
    table = (tmp_path / "table.md").read_text()
    assert "largest batch for 0.5 GiB, extrapolated" in table
    assert "| GENESIS | 16 | side not supported |" in table
    assert table.strip() in done.out
    assert (tmp_path / "efficiency.png").stat().st_size > 5_000


def test_command_refuses_in_one_line():
    done = study("--models=slot_attention,monet")
    assert (done.status, done.err.count("\n")) == (1, 1), done.err
    assert done.err.startswith("error: --models: monet is not one of")
