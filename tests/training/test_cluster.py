"""What is read of the environment to connect processes, and what is said where it is not enough."""

import socket

import jax
import pytest

from ocgm.errors import ConfigError
from ocgm.training import cluster

SLURM = {
    "SLURM_JOB_ID": "17",
    "SLURM_STEP_NODELIST": "node[1-2]",
    "SLURM_NTASKS": "2",
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "0",
}
BY_HAND = {
    "JAX_COORDINATOR_ADDRESS": "host:1234",
    "JAX_NUM_PROCESSES": "4",
    "JAX_PROCESS_ID": "3",
}
OPEN_MPI = {"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "3"}
EXPLICIT = {"coordinator_address": "host:1234", "num_processes": 4, "process_id": 3}


@pytest.fixture
def connect(monkeypatch):
    """Return a function that connects with an environment and returns what JAX was given."""
    for name in cluster.os.environ:
        if name.startswith(("SLURM_", "OMPI_", "JAX_COORDINATOR", "JAX_NUM_PROC", "JAX_PROCESS")):
            monkeypatch.delenv(name)
    monkeypatch.setattr(cluster, "_wait_for_first", lambda address: None)
    given = {}
    monkeypatch.setattr(jax.distributed, "initialize", lambda **settings: given.update(settings))

    def function(environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        cluster.connect()
        return {name: given[name] for name in EXPLICIT if name in given}

    return function


@pytest.mark.parametrize(
    "environment,settings",
    [
        (SLURM, {}),
        (BY_HAND, EXPLICIT),
        (OPEN_MPI | {"JAX_COORDINATOR_ADDRESS": "host:1234"}, EXPLICIT),
        (OPEN_MPI | {"OMPI_MCA_orte_hnp_uri": "1.0;tcp://10.0.0.1:34911"}, {}),  # Open MPI 4
        ({}, {}),  # a TPU pod, or nothing
    ],
)
def test_settings(connect, environment, settings):
    assert connect(environment) == settings


@pytest.mark.parametrize("missing", [name for name in SLURM if name != "SLURM_JOB_ID"])
def test_half_of_slurm(connect, missing):
    """In the script of `sbatch` and in `salloc`, without srun."""
    environment = {name: value for name, value in SLURM.items() if name != missing}
    with pytest.raises(ConfigError, match=f"{missing} not set; .*start every process with srun"):
        connect(environment)


@pytest.mark.parametrize("missing", BY_HAND)
def test_half_of_the_variables_set_by_hand(connect, missing):
    environment = {name: value for name, value in BY_HAND.items() if name != missing}
    if missing != "JAX_COORDINATOR_ADDRESS":
        assert environment.keys() & {"JAX_NUM_PROCESSES", "JAX_PROCESS_ID"}
    with pytest.raises(ConfigError, match=f"{missing} not set; set all three"):
        connect(environment)


def test_open_mpi_5_needs_an_address(connect):
    with pytest.raises(ConfigError, match="add -x JAX_COORDINATOR_ADDRESS=HOST:PORT"):
        connect(OPEN_MPI)


@pytest.mark.parametrize(
    "environment,name",
    [(SLURM, "SLURM_NTASKS"), (BY_HAND, "JAX_PROCESS_ID"), (BY_HAND, "JAX_NUM_PROCESSES")],
)
def test_a_number_that_is_none(connect, environment, name):
    with pytest.raises(ConfigError, match=f"{name}='two' is not a whole number"):
        connect(environment | {name: "two"})


@pytest.mark.parametrize("kind", [ValueError, RuntimeError])
def test_no_cluster(connect, monkeypatch, kind):
    def fail(**settings):
        raise kind("coordinator_address should be defined.\nmore")

    monkeypatch.setattr(jax.distributed, "initialize", fail)
    with pytest.raises(ConfigError) as error:
        connect({})
    message = str(error.value)
    assert "(coordinator_address should be defined.)" in message
    assert "srun" in message and "JAX_NUM_PROCESSES" in message
    assert len(message.splitlines()) == 1


def test_the_first_process_is_waited_for(monkeypatch):
    with socket.create_server(("localhost", 0)) as server:
        address = f"localhost:{server.getsockname()[1]}"
        cluster._wait_for_first(address)
    monkeypatch.setattr(cluster, "_CONNECT_SECONDS", 0)
    with pytest.raises(ConfigError, match=f"the first process does not answer at {address} "):
        cluster._wait_for_first(address)
    with pytest.raises(ConfigError, match="JAX_COORDINATOR_ADDRESS='somewhere' is not HOST:PORT"):
        cluster._wait_for_first("somewhere")
