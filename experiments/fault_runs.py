"""Faults of runs: kills, signals, damaged files, two runs in one directory, several processes."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent import futures

import jax
import numpy as np

from experiments import fault_config
from ocgm import run_dir, sharding
from ocgm.data import prepare
from ocgm.errors import UserError
from ocgm.experiment import load_config
from ocgm.training import loop
from ocgm.training.checkpoint import CheckpointStore
from ocgm.training.step import abstract_state

_STOP_SECONDS, _END_SECONDS = 30, 180
_CONFIG_FILE = pathlib.Path(fault_config.__file__)


class Bench:
    """Starts runs of the tiny experiment, and compares them with one that nothing disturbed.

    Args:
      folder: an empty directory for data and runs.

    Attributes:
      folder: it.
      seconds: how long the undisturbed run took.
      half: directory of a run that was stopped half way, to be copied.
    """

    def __init__(self, folder: pathlib.Path):
        self.folder, self._count = folder, 0
        self._config = load_config(str(_CONFIG_FILE))
        self._config.data.data_dir = str(folder / "data")
        prepare(self._config.data)
        self.half = self.new_workdir()
        self.finish(self.half, f"--config.num_train_steps={fault_config.STEPS // 2}")
        reference, start = self.new_workdir(), time.monotonic()
        self.finish(reference)
        self.seconds = time.monotonic() - start
        self._expected = self._content(reference)
        self._losses = run_dir.read_metrics(reference / "metrics.jsonl")["train/loss"]

    def new_workdir(self) -> pathlib.Path:
        """Return a directory that does not exist."""
        self._count += 1
        return self.folder / f"run_{self._count}"

    def start(
        self, workdir: pathlib.Path, *flags: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen:
        """Start or resume a run, with some variables added to the environment."""
        command = (sys.executable, "-m", "ocgm", "train", f"--config={_CONFIG_FILE}")
        folders = (f"--workdir={workdir}", f"--config.data.data_dir={self._config.data.data_dir}")
        return subprocess.Popen(
            [*command, *folders, *flags],
            env=os.environ | (environment or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def finish(self, workdir: pathlib.Path, *flags: str) -> None:
        """Start or resume a run, and check that it ends well."""
        status, text = end(self.start(workdir, *flags), _END_SECONDS)
        assert status == 0, f"exit status {status}: {text[-800:]}"

    def train_here(self, workdir: pathlib.Path) -> None:
        """Resume a run in this process.

        Raises:
          UserError: it cannot be resumed.
        """
        loop.train(self._config, workdir)

    def check_result(self, workdir: pathlib.Path, exact: bool = True, metrics: bool = True) -> None:
        """Check that a finished run is the undisturbed one.

        Args:
          workdir: its directory.
          exact: bit by bit, or up to the order of sums.
          metrics: whether its metrics.jsonl has to be whole.
        """
        if exact:
            content = self._content(workdir)
            assert content.keys() == self._expected.keys()
            different = [name for name in content if content[name] != self._expected[name]]
            assert not different, f"another result: {', '.join(different[:5])}"
        if not metrics:
            return
        steps, losses = run_dir.read_metrics(workdir / "metrics.jsonl")["train/loss"]
        assert steps.tolist() == self._losses[0].tolist(), "steps are missing in metrics.jsonl"
        np.testing.assert_allclose(losses, self._losses[1], rtol=1e-7 if exact else 1e-4)

    def _content(self, workdir: pathlib.Path) -> dict[str, bytes]:
        """Return the bytes of the last train state, by path."""
        abstract = abstract_state(self._config, sharding.make_mesh(self._config.mesh))
        with CheckpointStore(workdir) as checkpoints:
            step = checkpoints.steps()[-1]
            state = jax.device_get(checkpoints.restore(abstract, step=step).state)
        leaves = jax.tree_util.tree_leaves_with_path(state)
        return {jax.tree_util.keystr(path): np.asarray(leaf).tobytes() for path, leaf in leaves}


def end(process: subprocess.Popen, seconds: float) -> tuple[int, str]:
    """Return exit status and output of a process that has to end within some seconds."""
    try:
        text, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        text, _ = process.communicate()
        raise AssertionError(f"no end within {seconds} s: {text[-800:]}") from None
    return process.returncode, text


# ---- trials; each raises an AssertionError that says what went wrong


def kill(bench: Bench, rng: np.random.Generator) -> None:
    """Kill a run with SIGKILL at one or two random moments, then resume it to the end."""
    workdir = bench.new_workdir()
    for _ in range(rng.integers(1, 3)):
        process = bench.start(workdir)
        time.sleep(rng.uniform(0, 1.1 * bench.seconds))
        process.kill()
        process.communicate()
    bench.finish(workdir)
    bench.check_result(workdir)


def stop(bench: Bench, rng: np.random.Generator) -> None:
    """Stop a run by a signal at a random moment: it saves, ends soon with one message, and can be resumed."""
    workdir = bench.new_workdir()
    number = signal.Signals(
        rng.choice([signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
    )
    process = bench.start(workdir)
    time.sleep(rng.uniform(0.3, 1.0) * bench.seconds)
    process.send_signal(number)
    status, text = end(process, _STOP_SECONDS)
    # While Python imports libraries there is nothing to lose, and the system ends the process without a word.
    expected = (0, 128 + number) if text else (-number,)
    assert status in expected, f"exit status {status} after {number.name}: {text[-800:]}"
    assert "Traceback" not in text, text[-800:]
    saved = re.search(rf"{number.name} at step ([\d,]+): the state is saved", text)
    told = saved or "before the first step" in text or "interrupted" in text
    assert told or status <= 0, f"{number.name}: {text[-800:]}"
    if saved:
        step = saved[1].replace(",", "")
        assert (workdir / "checkpoints" / step).is_dir(), f"no checkpoint of step {step}"
    bench.finish(workdir)
    bench.check_result(workdir)


def share_workdir(bench: Bench, rng: np.random.Generator) -> None:
    """Start two runs in one directory: one finishes, the other says why it does not start."""
    workdir = bench.new_workdir()
    first = bench.start(workdir)
    time.sleep(rng.uniform(0, 0.2 * bench.seconds))  # The first must not have ended.
    second = bench.start(workdir)
    with futures.ThreadPoolExecutor(2) as pool:  # Both write to pipes that have to be read.
        ends = list(pool.map(lambda process: end(process, _END_SECONDS), (first, second)))
    refused = [text for status, text in ends if status]
    assert len(refused) == 1, f"{len(refused)} of two runs were refused"
    assert "Traceback" not in refused[0] and refused[0].count("error: ") == 1, refused[0][-800:]
    bench.check_result(workdir)


def damage(bench: Bench, rng: np.random.Generator) -> None:
    """Damage a file of the newest checkpoint or of the run, and resume: the same result, or an error that names it."""
    workdir = shutil.copytree(bench.half, bench.new_workdir())
    newest = workdir / "checkpoints" / str(fault_config.STEPS // 2)
    files = sorted(path for path in newest.rglob("*") if path.is_file())
    file = rng.choice([*files, workdir / "metrics.jsonl", workdir / "config.json"])
    what = _damage(file, rng)
    try:
        bench.train_here(workdir)
    except UserError as error:
        assert str(workdir) in str(error), f"{what}: {error}"
        assert file.name == "config.json", f"{what}: stopped a run that could be resumed: {error}"
    else:
        bench.check_result(workdir, metrics=file.name != "metrics.jsonl")


def _damage(file: pathlib.Path, rng: np.random.Generator) -> str:
    """Damage a file in a random way, and return what was done."""
    content = bytearray(file.read_bytes())
    how = rng.choice(["flip", "cut", "empty", "remove", "fill"])
    if how == "flip" and content:
        for i in rng.integers(len(content), size=rng.integers(1, 20)):
            content[i] ^= 1 << rng.integers(8)
    elif how == "cut":
        del content[rng.integers(len(content) + 1) :]
    elif how == "fill":
        content[:] = bytes(len(content))
    else:
        content.clear()
    if how == "remove":
        file.unlink()
    else:
        file.write_bytes(content)
    return f"{file.name}: {how}"


def kill_one_process(bench: Bench, rng: np.random.Generator) -> None:
    """Kill or stop one of two processes of a run: the other ends, and one process resumes the run."""
    workdir = bench.new_workdir()
    # What Open MPI's mpirun would set; JAX derives the port from the number of the job.
    job = {
        "OMPI_MCA_orte_hnp_uri": f"{rng.integers(2**20)}.0;tcp://127.0.0.1:1",
        "OMPI_COMM_WORLD_SIZE": "2",
    }
    pair = [
        bench.start(
            workdir,
            "--distributed",
            environment={**job, "OMPI_COMM_WORLD_RANK": rank, "OMPI_COMM_WORLD_LOCAL_RANK": rank},
        )
        for rank in ("0", "1")
    ]
    number = rng.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
    time.sleep(rng.uniform(0.5, 1.5) * bench.seconds)
    pair[rng.integers(2)].send_signal(number)
    with futures.ThreadPoolExecutor(2) as pool:
        ends = list(pool.map(lambda process: end(process, _END_SECONDS), pair))
    for status, text in ends:
        assert "Traceback" not in text, f"exit status {status}: {text[-800:]}"
    bench.finish(workdir)
    bench.check_result(workdir, exact=False)
