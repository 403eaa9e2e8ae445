"""Train and evaluate a small GENESIS-V2 and write a report: python -m experiments.quickstart --workdir=DIR.

`make quickstart` runs this. The same command resumes an interrupted run. The workdir is that of any run, with
report.html and figures in addition.
"""

import dataclasses
import pathlib
import time

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from absl import flags
from PIL import Image

from ocgm import inference, run_dir
from ocgm.commands import cli, config_flag
from ocgm.data import eval_batches, registry
from ocgm.data.storage import prepare
from ocgm.evaluation.evaluator import evaluate, segmentation
from ocgm.plots import figures, report
from ocgm.run_dir import read_metrics
from ocgm.training.loop import train

_CONFIG = config_flag.Config("quickstart")
_WORKDIR = flags.DEFINE_string(
    "workdir", "runs/quickstart", "Directory of the run and of the report."
)
_NUM_IMAGES = flags.DEFINE_integer("num_images", 320, "Number of test images.", 1)
_DATA_LABEL = (
    "Multi-dSprites, {variant} variant: {description} Generated on this machine with {sprites} sprites and"
    " resized to the side of each model. Evaluation: the first {count} test images."
)
_INTRODUCTION = (
    "A small GENESIS-V2 was trained on this machine, without labels, to segment images into objects. The shipped"
    " checkpoint comes from the same code and longer training; both are evaluated on the same scenes. The four"
    " quadrants are a baseline: a fixed segmentation that does not depend on the image."
)


Row = dict[str, int | str | float]


def train_minutes(workdir: pathlib.Path) -> float:
    """Return the minutes of training, from the metrics of the run."""
    _, minutes = read_metrics(workdir / "metrics.jsonl")["train/minutes"]
    return float(np.max(minutes))


def quadrant_scores(data: ml_collections.ConfigDict, num_images: int) -> dict[str, float]:
    """Return the segmentation metrics of four fixed quadrants on the same test images, as a baseline."""
    half = np.repeat([0, 1], data.image_size // 2)
    quadrants = jax.nn.one_hot(2 * half[:, None] + half, 4, axis=0)[None, ..., None]
    num_labels = registry.get_spec(data.name).max_objects + 1
    (batch,) = eval_batches(data, "test", num_images, num_images)
    log_masks = jnp.log(jnp.broadcast_to(quadrants, (num_images, *quadrants.shape[1:])))
    scores = segmentation.segmentation_metrics(log_masks, batch["masks"], num_labels)
    return {name: float(jnp.mean(values)) for name, values in scores.items()}


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """A model on the quickstart's test images.

    Attributes:
      label: name in the report.
      folder: directory of its run or export.
      trained: the model.
      scores: metrics on the test images.
      quadrants: metrics of the four fixed quadrants on the same images.
      reconstructions, samples: figures.
    """

    label: str
    folder: pathlib.Path
    trained: inference.TrainedModel
    scores: dict[str, float]
    quadrants: dict[str, float]
    reconstructions: Image.Image
    samples: Image.Image


def evaluate_model(
    label: str, folder: pathlib.Path, data: ml_collections.ConfigDict, num_images: int
) -> Evaluated:
    """Evaluate a model on the scenes of `data`, at the model's own side."""
    trained = inference.load(folder)
    data = data.copy_and_resolve_references()
    data.image_size = trained.config.data.image_size
    scores, reconstructions = evaluate(
        trained.model, trained.variables, data, num_images=num_images
    )
    drawn = jax.device_get(trained.sample(8))
    samples = figures.sample_figure(drawn.images, drawn.components, drawn.log_masks)
    quadrants = quadrant_scores(data, num_images)
    return Evaluated(label, folder, trained, scores, quadrants, reconstructions, samples)


def summary_row(model: Evaluated) -> Row:
    """Return a model's column of the table, by name of the line."""
    trained, scores, quadrants = model.trained, model.scores, model.quadrants
    return {
        "trained on variant": trained.config.data.variant or "plain",
        "side": trained.config.data.image_size,
        "steps": trained.step,
        "training": f"{train_minutes(model.folder):.1f} min",
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


def report_run(model: Evaluated) -> report.Run:
    """Return what the report needs of a model's run."""
    config = model.trained.config
    goal = config.objective.goal if config.objective.name == "geco" else None
    metrics = model.folder / "metrics.jsonl"
    return report.Run(model.label.capitalize(), metrics, run_dir.to_json(config), goal)


def print_table(rows: dict[str, Row]) -> None:
    """Print the summary, one line per metric and one column per model."""
    print(f"{'':24s}" + "".join(f"{label:>22s}" for label in rows))
    for name in next(iter(rows.values())):
        cells = (row[name] for row in rows.values())
        texts = (f"{cell:.4f}" if isinstance(cell, float) else f"{cell}" for cell in cells)
        print(f"{name:24s}" + "".join(f"{text:>22s}" for text in texts))


def write_page(
    page: pathlib.Path, models: list[Evaluated], rows: dict[str, Row], data_label: str
) -> None:
    """Write the figures as PNG files and the HTML report beside them."""
    pictures = []
    for model in models:
        stem = page.parent / model.label.replace(" ", "_")
        figures.save_png(f"{stem}_reconstructions.png", model.reconstructions)
        figures.save_png(f"{stem}_samples.png", model.samples)
        pictures += [
            report.Picture(
                f"{model.label.capitalize()}: held-out images",
                "Input, reconstruction, true masks, inferred masks and the part of each slot.",
                model.reconstructions,
            ),
            report.Picture(
                f"{model.label.capitalize()}: samples",
                "Scenes sampled from the prior, their masks and the part of each slot.",
                model.samples,
            ),
        ]
    report.write_report(
        page,
        title="GENESIS-V2 quickstart",
        introduction=_INTRODUCTION,
        data_label=data_label,
        summary_rows=rows,
        runs=[report_run(model) for model in models],
        pictures=pictures,
    )


def run(config: ml_collections.ConfigDict, workdir: pathlib.Path, num_images: int) -> None:
    """Generate the dataset, train, evaluate this run and the shipped checkpoint, and write the report."""
    start = time.monotonic()
    scenes = prepare(config.data).builder_config
    print(f"dataset ready after {time.monotonic() - start:.0f} s", flush=True)
    train(config, workdir)

    folders = {
        "this run": workdir,
        "shipped checkpoint": inference.locate("genesis_v2/multi_dsprites"),
    }
    models = [
        evaluate_model(label, folder, config.data, num_images) for label, folder in folders.items()
    ]
    rows = {model.label: summary_row(model) for model in models}
    data_label = _DATA_LABEL.format(
        variant=scenes.variant,
        description=scenes.description,
        sprites="the dSprites" if config.data.sprites_path else "analytically rendered",
        count=num_images,
    )
    page = workdir / "report.html"
    write_page(page, models, rows, data_label)
    print_table(rows)
    print(f"figures: {workdir}/*.png")
    own, shipped = (model.scores for model in models)
    print(
        f"ari_fg={own['ari_fg_attention']:.2f} msc_fg={own['msc_fg_attention']:.2f}"
        f" train_minutes={train_minutes(workdir):.1f}"
        f" pretrained_ari_fg={shipped['ari_fg_attention']:.2f} report={page}"
    )


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    run(_CONFIG.value, cli.folder(_WORKDIR.value), _NUM_IMAGES.value)


if __name__ == "__main__":
    cli.run(main)
