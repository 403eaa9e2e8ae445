"""Runs in a bucket of Google Cloud Storage, which an emulator on this machine serves."""

import http.server
import importlib.util
import os
import signal
import threading

import grain
import jax
import numpy as np
import pytest
from helpers import assert_same, command, finish, metrics_of, saved, start, write_config
from ml_collections import ConfigDict
from PIL import Image

import ocgm
from ocgm import files, run_dir
from ocgm.errors import ConfigError, UserError
from ocgm.training.checkpoint import CheckpointStore


@pytest.fixture(scope="module")
def bucket():
    """Return the address of a bucket."""
    emulator = pytest.importorskip("gcp_storage_emulator.server")
    objects = pytest.importorskip("gcp_storage_emulator.handlers.objects")
    handle, lock = emulator.Router.handle, threading.Lock()

    def handle_alone(router, method):
        with lock:
            handle(router, method)

    download = objects.download

    def download_with_generation(request, response, storage):
        """The emulator leaves out a header that TensorStore needs."""
        download(request, response, storage)
        if response.status < 300:
            names = request.params["bucket_name"], request.params["object_id"]
            response["x-goog-generation"] = storage.get_file_obj(*names)["generation"]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(objects, "download", download_with_generation)
        # A thread for each connection, or those of gcsfs and TensorStore would wait for each other; but one request at
        # a time.
        patch.setattr(http.server, "HTTPServer", http.server.ThreadingHTTPServer)
        patch.setattr(emulator.Router, "handle", handle_alone)
        server = emulator.create_server("localhost", 0, in_memory=True, default_bucket="bucket")
        server.start()
        address = f"http://localhost:{server._api._httpd.server_address[1]}"
        patch.setenv("STORAGE_EMULATOR_HOST", address)  # for gcsfs
        patch.setenv("TENSORSTORE_GCS_HTTP_URL", address)
        patch.setenv("GOOGLE_CLOUD_PROJECT", "test")
        # The emulator needs no credentials and has no buckets of newer kinds, and asking for them takes long.
        patch.setenv("NO_GCE_CHECK", "true")
        patch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
        yield "gs://bucket"
        server.stop()


def state_at(step: int) -> dict[str, jax.Array]:
    return {"weights": jax.numpy.arange(2000.0) + step, "step": jax.numpy.int32(step)}


def restore(store: CheckpointStore, iterator=None):
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    abstract = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device), state_at(0)
    )
    return store.restore(abstract, iterator)


def new_iterator() -> grain.DatasetIterator:
    return iter(grain.MapDataset.range(100).to_iter_dataset())


@pytest.mark.slow
def test_checkpoints(bucket):
    """Saved, kept, read with their position; a damaged one is moved out of the way, and its step saved again."""
    workdir, iterator = files.as_path(f"{bucket}/checkpoints run"), new_iterator()
    config = ConfigDict({"keep": 2, "keep_every_steps": 0})
    with CheckpointStore(workdir, config) as store:
        for step in (1, 2, 3):
            next(iterator)
            store.save(step, state_at(step), iterator)
    (workdir / "checkpoints" / "3" / "digest" / "metadata").write_text("{")
    with CheckpointStore(workdir, config) as store:
        assert store.steps() == [2, 3]
        iterator = new_iterator()
        restored = restore(store, iterator)
        assert restored.step == 2 and next(iterator) == 2
        (moved,) = store.set_aside_after(2)
        assert str(moved) == f"{bucket}/checkpoints run/checkpoints_damaged/3"
        store.save(3, state_at(3), iterator)
    with CheckpointStore(workdir) as store:
        restored = restore(store)
    assert (restored.step, restored.problems) == (3, ())
    np.testing.assert_array_equal(restored.state["weights"], state_at(3)["weights"])


def test_the_directory_of_a_run(bucket, tiny_config):
    workdir = files.as_path(f"{bucket}/run")
    with run_dir.claim_workdir(workdir, tiny_config()):
        log = files.open_to_append(workdir / "metrics.jsonl")
        log.write('{"step": 1, "loss": 2.0}\n{"step"')
        log.close()
        log = files.open_to_append(workdir / "metrics.jsonl")
        log.write('{"step": 2, "loss": 1.0}\n')
        log.close()
    assert run_dir.load(workdir).to_dict() == tiny_config().to_dict()
    np.testing.assert_array_equal(
        run_dir.read_metrics(f"{bucket}/run/metrics.jsonl")["loss"], [[1, 2], [2.0, 1.0]]
    )
    with pytest.raises(ConfigError, match="holds a run with another config"):
        run_dir.check_workdir(workdir, tiny_config(seed=1))
    with pytest.raises(UserError, match="There are no metrics: gs://bucket/no/metrics"):
        run_dir.read_metrics(f"{bucket}/no/metrics.jsonl")
    with pytest.raises(ConfigError, match="gs://bucket/no holds no run"):
        run_dir.load(files.as_path(f"{bucket}/no"))


@pytest.mark.parametrize("address", ["s3://bucket/run", "hdfs://host/run", "http://host/run"])
def test_other_addresses_are_refused_at_once(address, tiny_config, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for use in (ocgm.load, lambda workdir: ocgm.train(tiny_config(), workdir)):
        with pytest.raises(UserError, match="is not supported: give a directory, or .* gs://"):
            use(address)
    done = command("evaluate", f"--workdir={address}")
    assert done.status == 1 and done.err.startswith(f"error: {address} is not supported")
    assert not list(tmp_path.iterdir())


def test_without_gcsfs(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"gs://bucket/run needs gcsfs: pip install 'ocgm\[gcs\]'"):
        ocgm.load("gs://bucket/run")


@pytest.mark.slow
def test_killed_and_resumed(bucket, tiny_config, reference_run, tmp_path):
    """kill -9, the same command again, and what reads a run: as on a disk, bit for bit."""
    workdir = f"{bucket}/runs/killed"
    config = write_config(tmp_path, tiny_config())
    arguments = ("-m", "ocgm.main", f"--config={config}", f"--workdir={workdir}")
    process = start(*arguments)
    for line in process.stdout:
        if line.startswith("step 12/"):
            break
    process.kill()
    assert finish(process).status == -signal.SIGKILL
    again = finish(start(*arguments))
    assert again.status == 0, again.err
    assert_same(saved(files.as_path(workdir)), saved(reference_run))
    losses = run_dir.read_metrics(f"{workdir}/metrics.jsonl")["train/loss"]
    assert losses[1][-1] == metrics_of(reference_run, "train/loss")[20]
    loaded, expected = ocgm.load(workdir), ocgm.load(reference_run)
    jax.tree.map(np.testing.assert_array_equal, loaded.variables, expected.variables)
    done = command("evaluate", f"--workdir={workdir}", "--num_images=8", "--batch_size=8")
    assert done.status == 0, done.err
    assert (files.as_path(workdir) / "evaluation.json").exists()
    Image.new("RGB", (32, 32)).save(tmp_path / "picture.png")
    output = f"{bucket}/segmented"
    done = command(
        "segment", f"--workdir={workdir}", f"--output={output}", tmp_path / "picture.png"
    )
    assert done.status == 0, done.err
    assert (files.as_path(output) / "segmentation.npz").exists()
    assert not os.path.exists("gs:")
