"""The sweep of latent sizes: what it runs, reads back, and refuses."""

import json

import pytest
from helpers import finish, start

from experiments import bottleneck_results, bottleneck_runs
from ocgm.errors import UserError

_TINY = {
    "batch_size": 2,
    "num_train_steps": 2,
    "log_every_steps": 1,
    "data.image_size": 32,
    "data.num_examples": (8, 4, 4),
    "evaluation.num_images": 4,
    "evaluation.batch_size": 4,
}


def sweep(workdir, data_dir, *arguments):
    fields = {**_TINY, "data.data_dir": data_dir}
    overrides = [f"--override={name}={value}" for name, value in fields.items()]
    return finish(
        start(
            "-m",
            "experiments.reconstruction_bottlenecks",
            f"--workdir={workdir}",
            "--models=sbd_vae",
            *overrides,
            *arguments,
            devices=1,
        )
    )


@pytest.mark.compiles
def test_sweep_trains_resumes_and_reports(tiny_config, tmp_path):
    data_dir = tiny_config().data.data_dir
    first = sweep(tmp_path, data_dir, "--latent_dims=2")
    assert first.status == 0, first.err
    assert "1 of 1 runs have finished" in first.out

    second = sweep(tmp_path, data_dir, "--latent_dims=2,4")
    assert second.status == 0, second.err
    assert "run 2 of 2: multi_dsprites/sbd_vae/latent_4/seed_0" in second.out
    assert "run 1 of 2" not in second.out  # it had finished
    results = json.loads((tmp_path / "results.json").read_text())
    assert [r["run"]["latent_size"] for r in results] == [2, 4]
    assert all(0.55 < r["final_error"] < 1.0 and r["steps"] == 2 for r in results)
    table = (tmp_path / "table.md").read_text()
    assert "| Model | Data | 2 | 4 |" in table
    assert "| SBD-VAE, paper, 500k steps | | 0.5820 | 0.5763 |" in table
    assert (tmp_path / "sbd_vae_multi_dsprites.png").stat().st_size > 5_000


def test_commands_for_a_cluster(tmp_path):
    printed = sweep(tmp_path, "data", "--latent_dims=2,3", "--seeds=0,1", "--print_commands")
    assert printed.status == 0, printed.err
    lines = printed.out.splitlines()
    assert len(lines) == 2  # the paper has no size 3
    assert lines[1].startswith(
        "ocgm train --config=reconstruction_bottlenecks:multi_dsprites,sbd_vae,2"
    )
    assert "'--config.seed=1'" in lines[1] and "'--config.num_train_steps=2'" in lines[1]


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda: select(datasets=["clevr"]), "the paper has no sbd_vae on clevr"),
        (lambda: select(models=["dcvae"]), "the paper has no dcvae on multi_dsprites"),
        (lambda: select(latent_dims=["3"]), "the paper has none of --latent_dims=3"),
        (lambda: select(latent_dims=["two"]), "--latent_dims and --seeds must be whole numbers"),
        (
            lambda: bottleneck_runs.parse_overrides(["batch_size"]),
            "--override=batch_size is not FIELD=VALUE",
        ),
        (lambda: select()[0].config({"bath_size": 3}), "--override: .*bath_size"),
        (lambda: select()[0].config({"batch_size": "many"}), "--override: .*batch_size"),
    ],
)
def test_mistakes(mistake, message):
    with pytest.raises(UserError, match=message):
        mistake()


def select(**changes):
    arguments = {
        "datasets": ["multi_dsprites"],
        "models": ["sbd_vae"],
        "latent_dims": ["2"],
        "seeds": ["0"],
    }
    return bottleneck_runs.select_runs(**arguments | changes)


def test_iterations_to_goal(tmp_path):
    run = bottleneck_runs.Run("multi_dsprites", "dc_vae", 32, 0)
    config = run.config({"num_train_steps": 3000})
    name = bottleneck_runs.ERROR_AVERAGE
    rows = [{"step": s, name: e} for s, e in ((1000, 0.57), (2000, 0.5655), (3000, 0.56))]
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert bottleneck_runs.read_result(run, tmp_path, config) is None  # not evaluated yet
    rows.append({"step": 3000, "eval/mean_squared_error": 0.1, "eval/ari_fg": 0.5})
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)))
    result = bottleneck_runs.read_result(run, tmp_path, config)
    assert (result.iterations_to_goal, result.final_error) == (2000, 0.56)
    assert (
        "| DC-VAE, 3,000 steps | Multi-dSprites (GENESIS), generated here | 2k its (1) |"
        in bottleneck_results.table([result])
    )
    assert "| DC-VAE, paper, 500k steps | | 79k its |" in bottleneck_results.table([result])
