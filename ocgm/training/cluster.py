"""Connecting the processes of a run on a TPU pod, on a cluster of SLURM or Open MPI, or by hand."""

import os
import socket
import time
from collections.abc import Sequence
from typing import Any

import jax

from ocgm.errors import ConfigError, first_line

_BY_HAND = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
# Open MPI 4 has the address in OMPI_MCA_orte_hnp_uri, which JAX reads; Open MPI 5 has it no more.
_OPEN_MPI = ("JAX_COORDINATOR_ADDRESS", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK")
# What JAX reads of SLURM; `srun` sets them all, `sbatch` and `salloc` only some.
_SLURM = ("SLURM_STEP_NODELIST", "SLURM_JOB_ID", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID")

# A process that is lost is noticed after this time; longer pauses of a process that is alive have not been seen.
_HEARTBEAT_SECONDS = 60
# So long a process that has ended waits at exit for the others, which may still write.
_SHUTDOWN_SECONDS = 60
# Long enough for nodes that start one after the other.
_CONNECT_SECONDS = 300


def connect() -> None:
    """Connect this process to the others of its run; nothing of JAX's may have been computed before.

    The environment names them: that of SLURM's `srun`, of Open MPI's `mpirun` and of TPU pods, or else
    JAX_COORDINATOR_ADDRESS (HOST:PORT of the first process), JAX_NUM_PROCESSES and JAX_PROCESS_ID.

    Raises:
      ConfigError: there is no cluster, only half of what describes one, or the others cannot be reached.
    """
    settings = _settings()
    if settings.get("process_id"):
        _wait_for_first(settings["coordinator_address"])
    try:
        jax.distributed.initialize(
            **settings,
            initialization_timeout=_CONNECT_SECONDS,
            heartbeat_timeout_seconds=_HEARTBEAT_SECONDS,
            shutdown_timeout_seconds=_SHUTDOWN_SECONDS,
        )
    except (ValueError, RuntimeError) as error:
        raise ConfigError(
            f"--distributed could not connect to other processes ({first_line(error)}). It finds them under"
            " SLURM's srun, Open MPI's mpirun and on TPU pods; elsewhere set"
            f" {', '.join(_BY_HAND)} for each process. A single process uses all devices of its machine"
            " without --distributed."
        ) from error


def _wait_for_first(address: str) -> None:
    """Wait until the first process listens; JAX would abort the program where it never does.

    Raises:
      ConfigError: the address is none, or nobody listens there in time.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise ConfigError(f"--distributed: JAX_COORDINATOR_ADDRESS={address!r} is not HOST:PORT.")
    end = time.monotonic() + _CONNECT_SECONDS
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
            return
        except OSError as error:
            if time.monotonic() > end:
                raise ConfigError(
                    f"--distributed: the first process does not answer at {address} ({error}). Start it"
                    " with JAX_PROCESS_ID=0 on that machine, and open the port."
                ) from error
            time.sleep(1)


def _settings() -> dict[str, Any]:
    """Return what JAX does not find out by itself.

    Raises:
      ConfigError: the environment lacks a variable, or has a wrong one.
    """
    env = os.environ
    if env.keys() & set(_BY_HAND[1:]):
        address, count, index = _read(_BY_HAND, "set all three for each process")
        return {"coordinator_address": address, "num_processes": count, "process_id": index}
    if "OMPI_COMM_WORLD_SIZE" in env and "OMPI_MCA_orte_hnp_uri" not in env:
        remedy = "with Open MPI 5, add -x JAX_COORDINATOR_ADDRESS=HOST:PORT of the first process"
        address, count, index = _read(_OPEN_MPI, remedy)
        return {"coordinator_address": address, "num_processes": count, "process_id": index}
    if "SLURM_JOB_ID" in env:
        _read(_SLURM, "in a SLURM job, start every process with srun")
    return {}


def _read(names: Sequence[str], remedy: str) -> list[Any]:
    """Return the values of environment variables, all but the first as whole numbers."""
    missing = [name for name in names if name not in os.environ]
    if missing:
        raise ConfigError(f"--distributed: {', '.join(missing)} not set; {remedy}.")
    text, *numbers = (os.environ[name] for name in names)
    for name, number in zip(names[1:], numbers, strict=True):
        if not number.isdecimal():
            raise ConfigError(f"--distributed: {name}={number!r} is not a whole number.")
    return [text, *map(int, numbers)]
