"""The same result on one device and on many, and with several processes."""

import socket
import subprocess
import time

import numpy as np
import pytest
from helpers import ROOT, finish, metrics_of, saved, start, write_config
from ml_collections import ConfigDict
from train_on_meshes import MESHES

from ocgm import run_dir
from ocgm.training import loop
from ocgm.training.checkpoint import CheckpointStore

pytestmark = pytest.mark.compiles

NUM_STEPS = 20


@pytest.fixture(scope="module")
def arrays(tiny_config, reference_run, tmp_path_factory):
    """Results on all meshes; the data have been made by the reference run."""
    return train_on_meshes(tiny_config(), tmp_path_factory.mktemp("meshes"))


def train_on_meshes(
    config, folder, num_steps=NUM_STEPS, meshes=tuple(MESHES)
) -> dict[str, np.ndarray]:
    (folder / "config.json").write_text(run_dir.to_json(config))
    script = ROOT / "tests" / "training" / "train_on_meshes.py"
    output = folder / "arrays.npz"
    arguments = (folder / "config.json", output, num_steps, *meshes)
    done = finish(start(script, *arguments, devices=8), seconds=900)
    assert done.status == 0, done.err
    return dict(np.load(output))


@pytest.mark.parametrize("mesh", [name for name in MESHES if name != "1"])
def test_same_result_as_on_one_device(arrays, mesh):
    expected = arrays["1/losses"]
    assert expected.shape == (NUM_STEPS,)
    assert expected.std() > 1.0
    np.testing.assert_allclose(arrays[f"{mesh}/losses"], expected, rtol=1e-5)
    for name, value in arrays.items():
        if name.startswith("1/params/") and not is_idle(name):
            other = arrays[name.replace("1/", f"{mesh}/", 1)]
            # Adam moves an element by up to the rate of 1e-3 a step, also where its gradient is rounding noise, that is
            # where a unit is hardly ever active. How many these are depends on the processor.
            far = np.abs(other - value) > 1e-3
            assert far.mean() <= 0.005, f"{name}: {far.sum()} of {far.size} elements differ"
            most = NUM_STEPS * 1e-3
            np.testing.assert_allclose(other, value, rtol=0, atol=most, err_msg=name)


def is_idle(name: str) -> bool:
    """Parameters that change nothing: their gradient is rounding noise, whose sign Adam follows.

    With 8 features a group of the norm is one channel, which takes the bias before it away; a bias common to all
    slots' mask logits, the last of the decoder's, cancels in the softmax.
    """
    return name.endswith("/bias") and ("deconv" in name or "decoder/output" in name)


def test_batch_norm_is_over_the_batch_of_all_devices(tiny_config, tmp_path):
    model = {"name": "one_slot_vae", "image_size": 32, "latent_size": 4, "decoder": "deconv"}
    config = tiny_config(optimizer__learning_rate=1e-4)
    with config.unlocked():
        config.model = ConfigDict({**model, "dtype": "float32"})
    num_steps = 5
    arrays = train_on_meshes(config, tmp_path, num_steps, meshes=("1", "4x2"))
    statistics = [name for name in arrays if name.startswith("1/model_state/")]
    assert len(statistics) == 2 * 2 * 10  # mean and variance, of two halves, of ten layers
    # Had each device its own statistics, the first step's loss would differ by more than 1 %.
    np.testing.assert_allclose(arrays["4x2/losses"], arrays["1/losses"], rtol=1e-5)
    for name in statistics:
        other = arrays[name.replace("1/", "4x2/", 1)]
        # A norm takes away the bias before it, whose gradient is rounding noise: Adam moves
        # bias and running mean by up to the learning rate a step.
        atol = num_steps * 1e-4 if name.endswith("mean") else 1e-5
        np.testing.assert_allclose(other, arrays[name], rtol=1e-3, atol=atol, err_msg=name)


def test_same_result_as_the_loop(arrays, reference_run):
    """Through the loop, the prefetcher and two devices."""
    losses = metrics_of(reference_run, "train/loss")
    losses = [losses[step] for step in range(1, NUM_STEPS + 1)]
    np.testing.assert_allclose(losses, arrays["1/losses"], rtol=1e-5)


def test_fsdp_splits_the_state(arrays):
    assert arrays["8/bytes"] == arrays["1/bytes"]
    assert arrays["4x2/bytes"] < 0.6 * arrays["1/bytes"]


@pytest.mark.slow
def test_muon_on_meshes(tiny_config, tmp_path):
    arrays = train_on_meshes(tiny_config(optimizer__name="muon"), tmp_path)
    for mesh in ("8", "4x2"):
        np.testing.assert_allclose(arrays[f"{mesh}/losses"], arrays["1/losses"], rtol=1e-5)
    assert arrays["4x2/bytes"] < 0.6 * arrays["1/bytes"]


PROGRAM = """
import sys
from ocgm.__main__ import main
from ocgm.training import checkpoint

unreadable = sys.argv.pop(1)

def read(folder, *arguments, read=checkpoint._read_state):
    if folder.parent.name == unreadable:
        raise OSError("Stale file handle")
    return read(folder, *arguments)

checkpoint._read_state = read
main(["ocgm", "train", "--distributed", *sys.argv[1:]])
"""


@pytest.fixture
def start_two(tiny_config, tmp_path):
    """Return a function that starts two processes with two devices each, for a number of steps.

    The second one cannot read the checkpoint of the step `unreadable`.
    """

    def run(num_steps: int, unreadable: int = 0) -> list[subprocess.Popen]:
        config = write_config(tmp_path, tiny_config(num_train_steps=num_steps))
        with socket.create_server(("localhost", 0)) as server:
            port = server.getsockname()[1]
        cluster = {"JAX_COORDINATOR_ADDRESS": f"localhost:{port}", "JAX_NUM_PROCESSES": "2"}
        arguments = (f"--config={config}", f"--workdir={tmp_path / 'run'}")
        processes = []
        for rank, step in enumerate((0, unreadable)):
            env = cluster | {"JAX_PROCESS_ID": str(rank)}
            processes.append(start("-c", PROGRAM, step, *arguments, env=env))
        return processes

    return run


def assert_ended_well(processes: list[subprocess.Popen], start_step: int) -> str:
    """Return the output of the first process."""
    first, second = [finish(process, seconds=600) for process in processes]
    assert first.status == second.status == 0, first.err + second.err
    assert "4 device(s) (cpu) of 2 process(es)" in first.out
    assert f"from step {start_step} of" in first.out
    assert "step" not in second.out
    return first.out


@pytest.mark.slow
def test_two_processes_one_and_two_again(start_two, tiny_config, reference_run, tmp_path, capsys):
    """The same losses as one process throughout, also where one of two cannot read the newest checkpoint."""
    workdir = tmp_path / "run"
    assert_ended_well(start_two(7), start_step=0)
    loop.train(tiny_config(num_train_steps=12), workdir)
    assert "from step 7 of 12" in capsys.readouterr().out
    out = assert_ended_well(start_two(20, unreadable=12), start_step=10)
    assert f"warning: checkpoint {workdir / 'checkpoints' / '12'} is damaged or does not fit" in out
    assert "process 1: OSError('Stale file handle')" in out
    assert (workdir / "checkpoints_damaged" / "12").is_dir()

    losses, expected = metrics_of(workdir, "train/loss"), metrics_of(reference_run, "train/loss")
    assert sorted(losses) == list(range(1, 21))
    np.testing.assert_allclose(
        [losses[i] for i in losses], [expected[i] for i in losses], rtol=1e-5
    )
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 7 + 5 + 10 + 4  # One process writes: steps, steps again, evaluations.
    assert saved(workdir)["position"] == {"next_index": 20}


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_one_of_two_processes_is_killed(start_two, tiny_config, reference_run, tmp_path, victim):
    """The other one ends soon and says why, and both resume."""
    processes = start_two(40)
    for line in processes[0].stdout:
        if line.startswith("step 8/"):
            break
    processes[victim].kill()
    begin = time.monotonic()
    other = finish(processes[1 - victim])
    assert time.monotonic() - begin < 60
    assert other.status != 0 and "Traceback" not in other.err
    # Lines of JAX's coordination service may be around it.
    (line,) = [line for line in other.err.splitlines() if line.startswith("error: ")]
    assert f"process {1 - victim} of 2 has to end" in line
    assert "Start all of them again" in line
    assert len(other.err.splitlines()) < 20
    finish(processes[victim])
    with CheckpointStore(tmp_path / "run") as checkpoints:
        newest = max(checkpoints.steps(), default=0)  # None if the first save was not complete.
    assert_ended_well(start_two(20), start_step=newest)
    losses = metrics_of(tmp_path / "run", "train/loss")
    expected = metrics_of(reference_run, "train/loss")
    np.testing.assert_allclose(losses[20], expected[20], rtol=1e-5)
