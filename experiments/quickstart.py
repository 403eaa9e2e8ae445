"""Train, evaluate and look at a small GENESIS-V2: python -m experiments.quickstart --workdir=DIR.

`make quickstart` runs this. Killed, it goes on where it was when started again. The folder gets a run like any other,
and report.html beside it.
"""

import pathlib
import time

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from absl import app, flags
from ml_collections import config_flags
from PIL import Image

from ocgm import inference, run_dir
from ocgm.commands import cli
from ocgm.data import eval_batches, registry
from ocgm.data.storage import prepare
from ocgm.evaluation.evaluator import evaluate, segmentation
from ocgm.plots import figures, report
from ocgm.plots.curves import read_metrics
from ocgm.training.loop import train

_CONFIG = config_flags.DEFINE_config_file("config", "configs/quickstart.py", "Experiment.")
_WORKDIR = flags.DEFINE_string("workdir", "runs/quickstart", "Folder for the run and the page.")
_NUM_IMAGES = flags.DEFINE_integer("num_images", 320, "Held-out images to evaluate on.", 1)
_DATA_LABEL = (
    "Multi-dSprites, {variant} variant: {description} Made on this machine with {sprites} sprites and"
    " resized to each model's side. Evaluation: the first {count} test images."
)
_INTRODUCTION = (
    "A small GENESIS-V2 was trained on this machine without labels to take pictures apart into objects. The shipped"
    " checkpoint comes from the same code and a longer training; both are evaluated on the same scenes. Four fixed"
    " quadrants, which depend on no image, show what the metrics give for nothing."
)


def train_minutes(workdir: pathlib.Path) -> float:
    """Minutes that training took, from the run's metrics."""
    _, minutes = read_metrics(workdir / "metrics.jsonl")["train/minutes"]
    return float(np.max(minutes))


def quadrant_scores(data: ml_collections.ConfigDict, num_images: int) -> dict[str, float]:
    """Segmentation metrics of the picture's four quadrants, on the same test images: what needs no look at an image."""
    half = np.repeat([0, 1], data.image_size // 2)
    quadrants = jax.nn.one_hot(2 * half[:, None] + half, 4, axis=0)[None, ..., None]
    num_labels = registry.get_spec(data.name).max_objects + 1
    (batch,) = eval_batches(data, "test", num_images, num_images)
    log_masks = jnp.log(jnp.broadcast_to(quadrants, (num_images, *quadrants.shape[1:])))
    scores = segmentation.segmentation_metrics(log_masks, batch["masks"], num_labels)
    return {name: float(jnp.mean(values)) for name, values in scores.items()}


def summary_row(
    trained: inference.TrainedModel,
    workdir: pathlib.Path,
    scores: dict[str, float],
    quadrants: dict[str, float],
) -> dict[str, int | str | float]:
    """What the table says of one model."""
    return {
        "trained on variant": trained.config.data.variant or "plain",
        "side": trained.config.data.image_size,
        "steps": trained.step,
        "training": f"{train_minutes(workdir):.1f} min",
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(trained.variables["params"])),
        "ARI-FG (attention)": scores["ari_fg_attention"],
        "ARI-FG (decoded)": scores["ari_fg_decoded"],
        "ARI-FG (four quadrants)": quadrants["ari_fg"],
        "mSC-FG (attention)": scores["msc_fg_attention"],
        "mSC-FG (decoded)": scores["msc_fg_decoded"],
        "mSC-FG (four quadrants)": quadrants["msc_fg"],
        "error per element": scores["reconstruction_error_per_element"],
        "mean squared error": scores["mean_squared_error"],
    }


def sample_picture(trained: inference.TrainedModel) -> Image.Image:
    """Eight scenes from the prior."""
    drawn = jax.device_get(trained.sample(8))
    return figures.sample_figure(drawn.images, drawn.components, drawn.log_masks)


def report_run(label: str, workdir: pathlib.Path, config: ml_collections.ConfigDict) -> report.Run:
    goal = config.objective.goal if config.objective.name == "geco" else None
    return report.Run(label, workdir / "metrics.jsonl", run_dir.to_json(config), goal)


def print_table(rows: dict[str, dict[str, int | str | float]]) -> None:
    """The summary, one line a figure and one column a model."""
    print(f"{'':24s}" + "".join(f"{label:>22s}" for label in rows))
    for name in next(iter(rows.values())):
        cells = (row[name] for row in rows.values())
        texts = (f"{cell:.4f}" if isinstance(cell, float) else f"{cell}" for cell in cells)
        print(f"{name:24s}" + "".join(f"{text:>22s}" for text in texts))


def run(config: ml_collections.ConfigDict, workdir: pathlib.Path, num_images: int) -> None:
    """Make the data, train, evaluate this run and the shipped checkpoint on the same images, write the page."""
    start = time.monotonic()
    scenes = prepare(config.data).builder_config
    print(f"data ready after {time.monotonic() - start:.0f} s", flush=True)
    train(config, workdir)

    models = {
        "this run": workdir,
        "shipped checkpoint": inference.locate("genesis_v2/multi_dsprites"),
    }
    rows, pictures, runs, scores = {}, [], [], {}
    for label, folder in models.items():
        trained = inference.load(folder)
        # The same scenes for both, each at its own side.
        data = config.data.copy_and_resolve_references()
        data.image_size = trained.config.data.image_size
        scores[label], picture = evaluate(
            trained.model, trained.variables, data, num_images=num_images
        )
        samples = sample_picture(trained)
        quadrants = quadrant_scores(data, num_images)
        rows[label] = summary_row(trained, folder, scores[label], quadrants)
        runs.append(report_run(label.capitalize(), folder, trained.config))
        stem = label.replace(" ", "_")
        figures.save_png(workdir / f"{stem}_reconstructions.png", picture)
        figures.save_png(workdir / f"{stem}_samples.png", samples)
        pictures += [
            report.Picture(
                f"{label.capitalize()}: held-out images",
                "Input, reconstruction, true masks, inferred masks and each slot's part.",
                picture,
            ),
            report.Picture(
                f"{label.capitalize()}: samples",
                "Scenes drawn from the prior, their masks and each slot's part.",
                samples,
            ),
        ]
    page = workdir / "report.html"
    report.write_report(
        page,
        title="GENESIS-V2 quickstart",
        introduction=_INTRODUCTION,
        data_label=_DATA_LABEL.format(
            variant=scenes.variant,
            description=scenes.description,
            sprites="dSprites'" if config.data.sprites_path else "analytically rendered",
            count=num_images,
        ),
        summary_rows=rows,
        runs=runs,
        pictures=pictures,
    )
    print_table(rows)
    print(f"pictures: {workdir}/*.png")
    own, shipped = scores["this run"], scores["shipped checkpoint"]
    print(
        f"ari_fg={own['ari_fg_attention']:.2f} msc_fg={own['msc_fg_attention']:.2f}"
        f" train_minutes={train_minutes(workdir):.1f}"
        f" pretrained_ari_fg={shipped['ari_fg_attention']:.2f} report={page}"
    )


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments: {argv[1:]}")
    run(_CONFIG.value, cli.folder(_WORKDIR.value), _NUM_IMAGES.value)


if __name__ == "__main__":
    cli.run(main)
