"""Who sets beta: GECO against the trace of the authors' code, fixed weights and warm-ups."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

from ocgm import experiment
from ocgm.errors import ConfigError
from ocgm.training import objectives, optimizers
from ocgm.training.objectives import default_config

_GOAL_64 = 0.5655 * 3 * 64**2


def follow(transform, errors):
    """Beta that each error's loss used, and beta and error average after it."""
    state, rows = transform.init({}), []
    for error in errors:
        used = state.loss_weights.beta
        _, state = transform.update({}, state, reconstruction_error=jnp.float32(error))
        rows.append((float(used), float(state.error_average), float(state.beta)))
    return rows


def decimals(value: str) -> int:
    return len(value.partition(".")[2])


# Error, loss with KL = 100, error average after, beta after: as the authors' code prints them.
TRACES = {
    "above_goal": [
        ("9000", "9100", "9000", "0.9796976"),
        ("8000", "8097.96976", "8990", "0.9599033"),
        ("7000", "7095.99033", "8970.1", "0.9406962"),
        ("6000", "6094.06962", "8940.399", "0.9221472"),
    ],
    "below_goal": [
        ("6900", "7000", "6900", "1.0048984"),
        ("6900", "7000.48984", "6900", "1.0098207"),
        ("6950", "7050.98207", "6900.5", "1.0147164"),
    ],
}


@pytest.mark.parametrize("trace", TRACES.values(), ids=TRACES)
@pytest.mark.parametrize("jit", [False, True], ids=["eager", "jit"])
def test_geco_trace(trace, jit):
    geco = objectives.build(default_config("geco"), image_size=64)
    if jit:
        geco = optax.GradientTransformationExtraArgs(geco.init, jax.jit(geco.update))
    rows = follow(geco, [float(error) for error, *_ in trace])
    for (error, loss, average, beta), (used, average_after, beta_after) in zip(
        trace, rows, strict=True
    ):
        # A printed digit may hide half a unit; float32 adds 6e-8 of the value.
        assert abs(beta_after - float(beta)) < 0.5 * 10 ** -decimals(beta) + 2e-7
        assert abs(float(error) + 100 * used - float(loss)) < 2e-5
        np.testing.assert_allclose(average_after, float(average), rtol=2e-7)


def test_geco_first_update_takes_the_error_as_average():
    geco = objectives.geco(goal=100.0, step_size=1e-5)
    state = geco.init({})
    assert (state.beta, state.error_average, state.step) == (1.0, 0.0, 0)
    (_, first, _), (_, second, _) = follow(geco, [500.0, 0.0])
    assert first == 500.0
    np.testing.assert_allclose(second, 495.0, rtol=1e-6)


def test_geco_speeds_up_only_below_the_goal():
    above, below, at = (
        follow(objectives.geco(goal=1000.0, step_size=1e-4), [error])[0][2]
        for error in (1100.0, 900.0, 1000.0)
    )
    np.testing.assert_allclose(np.log(above), -1e-4 * 100, rtol=1e-4)
    np.testing.assert_allclose(np.log(below), 10 * 1e-4 * 100, rtol=1e-4)
    assert at == 1.0


@pytest.mark.parametrize("error,bound", [(1e7, 0.5), (-1e7, 2.0)])
def test_geco_clamps(error, bound):
    geco = objectives.geco(goal=0.0, step_size=1.0, min_beta=0.5, max_beta=2.0)
    assert [row[2] for row in follow(geco, [error, error])] == [bound, bound]


def test_geco_default_bounds():
    lowest, highest = (
        follow(objectives.geco(goal=0.0, step_size=1.0), [error] * 3)[-1][2]
        for error in (1e3, -1e3)
    )
    np.testing.assert_allclose([lowest, highest], [1e-10, 1e10], rtol=1e-6)


@pytest.mark.parametrize("side", [32, 64, 128])
def test_geco_scales_with_the_image(side):
    """The same error per element above the goal; the step size is per nat at 64x64."""
    goal = _GOAL_64 * side**2 / 64**2
    geco = objectives.build(default_config("geco"), side)
    (_, _, at_goal), (_, _, above) = follow(geco, [goal])[0], follow(geco, [goal + 1000.0])[0]
    np.testing.assert_allclose(at_goal, 1.0, atol=2e-6)
    np.testing.assert_allclose(np.log(above), -1e-5 * 64**2 / side**2 * 1000, rtol=1e-4)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (default_config("elbo", beta=0.25), [0.25] * 3),
        (
            default_config("elbo", beta=0.5, warmup_steps=4),
            [0.0, 0.125, 0.25, 0.375, 0.5, 0.5, 0.5],
        ),
        (default_config("elbo_schedule", betas=((0, 0.25),)), [0.25] * 3),
        (
            default_config("elbo_schedule", betas=((0, 0.0), (2, 1.0), (4, 1.0), (8, 3.0))),
            [0.0, 0.5, 1.0, 1.0, 1.0, 1.5, 2.0, 2.5, 3.0, 3.0],
        ),
    ],
    ids=["fixed", "warm_up", "one_point", "points"],
)
def test_scheduled_beta(config, expected):
    state = (elbo := objectives.build(config, 64)).init({})
    betas = []
    for _ in expected:
        betas.append(float(state.loss_weights.beta))
        _, state = elbo.update({}, state, reconstruction_error=jnp.float32(1.0))
    assert betas == expected


@pytest.mark.parametrize("steps", [(), (1, 2), (0, 5, 5), (0, 5, 4)])
def test_impossible_elbo_schedules(steps):
    config = default_config("elbo_schedule", betas=tuple((step, 0.5) for step in steps))
    with pytest.raises(ConfigError, match=r"betas=.* the steps must begin at 0 and increase"):
        objectives.build(config, 64)


@pytest.mark.parametrize(
    "config",
    [
        default_config("geco"),
        default_config("elbo"),
        default_config("elbo", warmup_steps=10),
        default_config("elbo_schedule", betas=((0, 0.1), (5, 0.2))),
    ],
)
def test_gradients_pass_through(config):
    grads = {"a": jnp.arange(3.0), "b": jnp.float32(-1.0)}
    objective = objectives.build(config, 64)
    updates, _ = objective.update(
        grads, objective.init(grads), grads, reconstruction_error=jnp.float32(9000.0)
    )
    assert updates["a"] is grads["a"]
    assert updates["b"] is grads["b"]


def test_error_has_no_gradient():
    geco = objectives.build(default_config("geco"), 64)

    def beta_after(error):
        return geco.update({}, geco.init({}), reconstruction_error=error)[1].beta

    assert jax.grad(beta_after)(jnp.float32(9000.0)) == 0.0


def test_unknown_objective():
    with pytest.raises(
        ConfigError, match="objective.name='gecko' is not one of 'geco', 'error_weight_geco'"
    ):
        objectives.build(ConfigDict({"name": "gecko"}), 64)


# ---- the whole optimizer


def optimizer(**changes):
    config = experiment.default_config("genesis_v2", "multi_dsprites")
    config.optimizer.update(changes)
    return optimizers.build(config)


def test_optimizer_state_holds_the_loss_weights():
    params = {"w": jnp.ones(3)}
    rule = optimizer()
    state = rule.init(params)
    assert state["objective"].loss_weights.beta == 1.0
    updates, state = rule.update(
        {"w": jnp.float32([1.0, -2.0, 3.0])}, state, params, reconstruction_error=jnp.float32(9000)
    )
    np.testing.assert_allclose(state["objective"].loss_weights.beta, 0.9796976, atol=2e-7)
    np.testing.assert_allclose(updates["w"], [-1e-4, 1e-4, -1e-4], rtol=1e-4)  # Adam's first step


def test_learning_rate_schedules():
    config = optimizers.default_config("adam", learning_rate=1.0)
    assert optimizers.learning_rate_schedule(config)(1000) == 1.0
    config.warmup_steps = 10
    rate = optimizers.learning_rate_schedule(config)
    np.testing.assert_allclose([rate(0), rate(5), rate(10), rate(99)], [0, 0.5, 1, 1])
    config.decay, config.decay_steps = "cosine", 110
    rate = optimizers.learning_rate_schedule(config)
    np.testing.assert_allclose(
        [rate(5), rate(10), rate(60), rate(110)], [0.5, 1, 0.5, 0], atol=1e-6
    )
    config.decay_begin = 50
    rate = optimizers.learning_rate_schedule(config)
    np.testing.assert_allclose(
        [rate(5), rate(10), rate(50), rate(80), rate(110), rate(200)],
        [0.5, 1, 1, 0.5, 0, 0],
        atol=1e-6,
    )


def test_exponential_decay():
    config = optimizers.default_config("adam", learning_rate=4e-4)
    config.update(warmup_steps=10_000, decay="exponential", decay_steps=100_000)
    rate = optimizers.learning_rate_schedule(config)  # Slot Attention: warm-up and decay at once
    steps = [0, 5_000, 10_000, 100_000, 200_000]
    expected = [0, 2e-4 * 0.5**0.05, 4e-4 * 0.5**0.1, 2e-4, 1e-4]
    np.testing.assert_allclose([rate(step) for step in steps], expected, rtol=1e-5)
    config.decay_begin = 10_000  # EfficientMORL: decay after warm-up
    rate = optimizers.learning_rate_schedule(config)
    steps = [0, 1, 5_000, 10_000, 110_000, 300_000]
    expected = [0, 4e-8, 2e-4, 4e-4, 2e-4, 5.359e-5]
    np.testing.assert_allclose([rate(step) for step in steps], expected, rtol=1e-4)


def test_impossible_decays():
    config = optimizers.default_config("adam", learning_rate=4e-4)
    config.decay = "linear"
    with pytest.raises(ConfigError, match="decay='linear' is not one of 'constant'"):
        optimizers.learning_rate_schedule(config)
    config.decay = "exponential"
    with pytest.raises(ConfigError, match="needs config.optimizer.decay_steps, which is 0"):
        optimizers.learning_rate_schedule(config)
    config.update(decay="cosine", warmup_steps=100, decay_steps=100)
    with pytest.raises(ConfigError, match=r"from step 100 to step decay_steps=100 must come after"):
        optimizers.learning_rate_schedule(config)
    config.update(decay_begin=50, decay_steps=200)
    with pytest.raises(ConfigError, match="from step 50 to step decay_steps=200 must come after"):
        optimizers.learning_rate_schedule(config)


def test_geco_of_the_error_weight():
    """Against its recurrence written out: warm start, first average, moving average, speed-up, lower bound."""
    transform = objectives.error_weight_geco(-10.0, 1e-2, speedup=5.0, warm_start=2)
    state, rows = transform.init({}), []
    for error in (50.0, 40.0, 30.0, 20.0, 10.0, -5_000.0, -5_000.0):
        used = float(state.loss_weights.error_weight)
        _, state = transform.update({}, state, reconstruction_error=jnp.float32(error))
        rows.append((used, float(state.gap_average), float(state.multiplier)))

    def softplus(x):
        return np.log1p(np.exp(x))

    average, multiplier = -40.0, 0.55
    expected = [(1.0, 0.0, 0.55), (1.0, 0.0, 0.55), (softplus(0.55), average, 0.55)]
    for error in (20.0, 10.0, -5_000.0, -5_000.0):
        used = softplus(multiplier)
        average = 0.99 * average + 0.01 * (-10.0 - error)
        rate = 5e-2 if average > 0 else 1e-2
        multiplier = max(0.55, multiplier - rate * average)
        expected.append((used, average, multiplier))
    np.testing.assert_allclose(rows, expected, rtol=1e-5)
    assert rows[4][2] > 0.9 and rows[-1][2] == np.float32(0.55)
    assert float(state.loss_weights.beta) == 1.0


def test_clipping():
    rule = optimizer(name="rmsprop", learning_rate=1.0, clip_norm=0.5)
    params = {"w": jnp.zeros(2)}
    grads = {"w": jnp.float32([30.0, 40.0])}
    _, state = rule.update(grads, rule.init(params), params, reconstruction_error=jnp.float32(1.0))
    # The average of squares starts at 0 and saw the clipped gradient (0.3, 0.4).
    np.testing.assert_allclose(optax.tree.get(state, "nu")["w"], [9e-4, 16e-4], rtol=1e-4)


def test_muon_orthogonalises_all_but_large_dense_kernels():
    rule = optimizer(name="muon", learning_rate=0.5)
    rng = np.random.default_rng(0)
    shapes = {"conv": (3, 3, 4, 8), "dense": (4, 8), "large": (65, 65), "bias": (8,)}
    params = {name: jnp.zeros(shape) for name, shape in shapes.items()}
    grads = {name: jnp.float32(rng.normal(size=shape)) for name, shape in shapes.items()}
    error = jnp.float32(1.0)
    updates, _ = rule.update(grads, rule.init(params), params, reconstruction_error=error)
    for name, fan_in in (("conv", 36), ("dense", 4)):
        # All singular values near rate * 0.4 * sqrt(larger side): in the mean square twice Adam's update.
        matrix = np.asarray(updates[name]).reshape(fan_in, 8)
        values = np.linalg.svd(matrix, compute_uv=False) / (0.5 * 0.4 * np.sqrt(max(fan_in, 8)))
        assert 0.6 < values.min() and values.max() < 1.3
        assert np.sum(matrix * np.asarray(grads[name]).reshape(fan_in, 8)) < 0.0
    adam = optax.nadam(0.5)  # optax's Muon has Nesterov's momentum in both
    expected, _ = adam.update(grads, adam.init(params), params)
    for name in ("large", "bias"):
        np.testing.assert_allclose(updates[name], expected[name], rtol=1e-6)


def test_unknown_optimizer():
    with pytest.raises(
        ConfigError, match="optimizer.name='sgd' is not one of 'adam', 'rmsprop', 'muon'"
    ):
        optimizer(name="sgd")


# ---- default configs


@pytest.mark.parametrize("name", ["geco", "elbo"])
def test_default_objectives_are_complete(name):
    assert objectives.build(default_config(name), 64).init({}).loss_weights.error_weight == 1.0


def test_default_configs_take_changes():
    config = default_config("error_weight_geco", goal=-1.2, speedup=2.0)
    assert (config.name, config.goal, config.speedup, config.beta) == (
        "error_weight_geco",
        -1.2,
        2.0,
        1.0,
    )
    assert optimizers.default_config("muon").learning_rate == 5e-4
    assert optimizers.default_config("muon", learning_rate=0.1).learning_rate == 0.1
    assert optimizers.default_config("rmsprop").learning_rate == 1e-4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: default_config("gecko"), "objective='gecko' is not one of 'geco', 'error_weight"),
        (lambda: default_config("geco", gaol=1.0), "objective 'geco' has no field 'gaol'; its"),
        (lambda: default_config("elbo_schedule"), "'elbo_schedule' needs a value of 'betas'"),
        (lambda: default_config("error_weight_geco"), "'error_weight_geco' needs a value of 'goal"),
        (lambda: optimizers.default_config("sgd"), "optimizer='sgd' is not one of 'adam', 'rms"),
        (lambda: optimizers.default_config("adam", b2=0.9), "'adam' has no field 'b2'; its fields"),
    ],
)
def test_impossible_default_configs(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
