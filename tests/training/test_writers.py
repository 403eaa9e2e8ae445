"""The console line: what it says, and that it fits."""

import pytest

from ocgm.training import writers
from ocgm.training.writers import Progress

VALUES = {
    "loss": 6948.25,
    "reconstruction_error_per_element": 0.56551,
    "error_weight": 1.0,
    "kl": 123.45,
    "beta": 0.00123,
    "ms_per_step": 100.0,
    "images_per_second": 320.4,
}


def line(step=250, num_steps=1_000, **changes):
    values = {name: v for name, v in (VALUES | changes).items() if v is not None}
    return Progress(num_steps, 32).format(step, values)


def test_line():
    assert line() == (
        "step 250/1,000 (25%)  loss 6948  error 0.5655  kl 123.5  beta 0.00123  320.4 img/s  ETA 1m15s"
    )


def test_a_model_without_latents_has_neither_kl_nor_beta():
    assert line(kl=None, beta=None) == (
        "step 250/1,000 (25%)  loss 6948  error 0.5655  320.4 img/s  ETA 1m15s"
    )


def test_the_weight_of_the_error_is_shown_where_the_objective_moves_it():
    assert "weight 2.13" in line(error_weight=2.13)


def test_a_long_run_of_the_papers_fits_with_all_its_numbers():
    text = line(499_500, 500_000, loss=27_795.1, kl=1_234.5, beta=1e-10, ms_per_step=7e5)
    assert text == (
        "step 499,500/500,000 (100%)  loss 27795  error 0.5655  kl 1234  beta 1e-10  320.4 img/s"
        "  ETA 4d01h"
    )


def test_the_first_line_has_no_speed():
    assert "img/s" not in line(ms_per_step=None) and "ETA" not in line(ms_per_step=None)


@pytest.mark.parametrize("size", [1e-30, 1e-7, 0.0, 0.1, 12.5, 987_654.3, 1e12, float("nan")])
@pytest.mark.parametrize("step", [1, 499_999, 99_999_999])
def test_it_fits(size, step):
    metrics = dict.fromkeys(writers._CONSOLE_METRICS, -size)
    speed = {"ms_per_step": 1e6, "images_per_second": 1e9}
    text = line(step, 100_000_000, **metrics, **speed)
    assert len(text) <= 100, text
    assert text.startswith(f"step {step:,}/100,000,000 (") and "ETA" in text


@pytest.mark.parametrize(
    "seconds,text",
    [(0, "0m00s"), (59.9, "0m59s"), (3_599, "59m59s"), (3_725, "1h02m"), (10**6, "11d13h")],
)
def test_duration(seconds, text):
    assert writers._duration(seconds) == text


def test_speed_is_without_compilation_and_evaluation(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(writers.time, "monotonic", lambda: now[0])
    progress = Progress(100, 32)
    progress.compiling()
    for seconds, total_wait in ((30.0, 5.0), (0.5, 5.1), (0.3, 5.1)):
        now[0] += seconds
        progress.count(total_wait)
    now[0] += 60.0  # an evaluation
    progress.skip()
    now[0] += 0.4
    progress.count(5.3)
    rates = progress.rates()
    assert rates["ms_per_step"] == pytest.approx(400)
    assert rates["images_per_second"] == pytest.approx(80)
    assert rates["data_wait_share"] == pytest.approx(0.3 / 1.2)
    assert progress.minutes() == pytest.approx(91.2 / 60)
    progress.reset_rates()
    assert progress.rates() == {}
