"""Signals stop a run without losing a step, and are answered at once."""

import signal
import socket
import time

import pytest
from helpers import finish, saved, start, write_config

from ocgm.training.signals import Interrupted, StopSignals

SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1")


@pytest.fixture(params=SIGNALS)
def name(request):
    return request.param


def send(name: str) -> None:
    signal.raise_signal(signal.Signals[name])


def test_between_steps_the_loop_is_asked_to_stop(name, tmp_path, capsys):
    with StopSignals(tmp_path) as stop:
        assert not stop.requested(3)
        send(name)
        assert stop.requested(4)
        with pytest.raises(Interrupted, match=f"{name} at step 4: the state is saved in") as error:
            stop.raise_if_requested()
    assert error.value.exit_status == 128 + signal.Signals[name]


def test_during_set_up_and_evaluation_it_raises(name, tmp_path):
    with pytest.raises(Interrupted, match="before the first step: nothing is lost"):
        with StopSignals(tmp_path):
            send(name)
    with StopSignals(tmp_path) as stop:
        assert not stop.requested(7)
        with pytest.raises(Interrupted, match="at step 7: the state is saved"):
            with stop.at_once():
                send(name)
        send(name)  # Files are being closed: not a second time.


def test_evaluation_does_not_begin_after_a_signal(tmp_path):
    with StopSignals(tmp_path) as stop:
        assert not stop.requested(7)
        send("SIGTERM")
        with pytest.raises(Interrupted), stop.at_once():
            pytest.fail("the evaluation began")


def test_handlers_are_put_back(tmp_path):
    before = [signal.getsignal(signal.Signals[name]) for name in SIGNALS]
    with StopSignals(tmp_path):
        pass
    assert [signal.getsignal(signal.Signals[name]) for name in SIGNALS] == before
    assert signal.set_wakeup_fd(-1) == -1


def test_nohup(tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals(tmp_path) as stop:
            send("SIGHUP")
            assert not stop.requested(1)
    finally:
        signal.signal(signal.SIGHUP, before)


# The main thread is in C for minutes, as it is while XLA compiles.
BUSY = """
import hashlib, pathlib
from ocgm.training.signals import StopSignals
with StopSignals(pathlib.Path("runs")) as stop:
    stop.requested(4)
    print("busy", flush=True)
    hashlib.pbkdf2_hmac("sha512", b"", b"", 10**9)
"""


@pytest.mark.compiles
@pytest.mark.parametrize("first", ["SIGINT", "SIGUSR1"])
def test_answered_while_the_main_thread_is_busy(first):
    process = start("-c", BUSY)
    try:
        assert process.stdout.readline() == "busy\n"
        sent = time.monotonic()
        process.send_signal(signal.Signals[first])
        answer = process.stdout.readline()
        assert answer == f"{first}: stopping after step 5, saving; Ctrl-C ends at once\n"
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        assert finish(process).status == 130
        assert time.monotonic() - sent < 60  # It would be busy for many minutes.
    finally:
        process.kill()


PROCESS = """
import os, sys
from ocgm.__main__ import main
address, rank, *arguments = sys.argv[1:]
os.environ |= {
    "JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": rank
}
main(["ocgm", "train", "--distributed", *arguments])
"""


@pytest.mark.slow
def test_a_signal_to_one_process_stops_all(tiny_config, tmp_path):
    """Ctrl-C on the second of two: both stop at one step, save, and say what they received."""
    config = write_config(tmp_path, tiny_config(num_train_steps=100_000))
    arguments = (f"--config={config}", f"--workdir={tmp_path / 'run'}")
    with socket.create_server(("localhost", 0)) as server:
        address = f"localhost:{server.getsockname()[1]}"
    first, second = (
        start("-c", PROCESS, address, rank, *arguments, devices=1) for rank in ("0", "1")
    )
    for line in first.stdout:
        if line.startswith("step 3/"):
            break
    second.send_signal(signal.SIGINT)
    ends = [finish(process) for process in (first, second)]
    assert [end.status for end in ends] == [143, 130], ends[0].err + ends[1].err
    messages = [end.err.strip().splitlines()[-1] for end in ends]
    step = saved(tmp_path / "run")[".step"]
    assert messages[0].startswith(f"error: SIGTERM at step {step}: the state is saved")
    assert messages[1].startswith(f"error: SIGINT at step {step}: the state is saved")
