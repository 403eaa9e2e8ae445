"""Table and figure of the efficiency study (`experiments.efficiency`)."""

import dataclasses

from experiments.efficiency_runs import FORWARD, TRAINING

BASELINE = "EfficientMORL, I = 1"


@dataclasses.dataclass(frozen=True)
class Result:
    """Measurements of one variant at one image side.

    Attributes:
      title: title of the variant.
      side: image side in pixels.
      refusal: why the model does not support this side, else "".
      parameters: number of parameters.
      seconds: quartiles of the wall time, by `FORWARD` and `TRAINING`.
      memory: `memory_of` the program of `TRAINING`.
      largest_batch: largest batch that fits the memory; None if it was not computed.
    """

    title: str
    side: int
    refusal: str = ""
    parameters: int = 0
    seconds: dict[str, tuple[float, float, float]] = dataclasses.field(default_factory=dict)
    memory: dict[str, int] = dataclasses.field(default_factory=dict)
    largest_batch: int | None = None


def ratios(results: list[Result], kind: str) -> dict[tuple[str, int], float]:
    """Return medians relative to `BASELINE` at the same side, by title and side; none where it was not measured."""
    medians = {(r.title, r.side): r.seconds[kind][1] for r in results if r.seconds}
    return {
        (title, side): median / medians[BASELINE, side]
        for (title, side), median in medians.items()
        if (BASELINE, side) in medians
    }


def table(results: list[Result]) -> str:
    """Return a Markdown table, a row per variant and side, and below it why models do not support a side."""
    with_batches = any(result.largest_batch is not None for result in results)
    columns = ["Model", "side", "parameters"]
    for kind in (FORWARD, TRAINING):
        columns += [f"{kind}, ms", f"to {BASELINE}"]
    columns += ["temporaries, MiB", *(["largest batch"] if with_batches else [])]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    relative = {kind: ratios(results, kind) for kind in (FORWARD, TRAINING)}
    for result in results:
        cells = [result.title, str(result.side)]
        if result.refusal:
            cells += ["side not supported", *[""] * (len(columns) - 3)]
        else:
            cells.append(f"{result.parameters:,}")
            for kind, of_kind in relative.items():
                low, median, high = (1e3 * seconds for seconds in result.seconds[kind])
                ratio = of_kind.get((result.title, result.side))
                cells.append(f"{median:,.1f} ({low:,.1f} to {high:,.1f})")
                cells.append("" if ratio is None else f"{ratio:.2f}")
            cells.append(f"{result.memory['temporary'] / 2**20:,.0f}")
            if with_batches:
                cells.append(str(result.largest_batch))
        lines.append(f"| {' | '.join(cells)} |")
    refusals = [f"{r.title}, {r.side} px: {r.refusal}" for r in results if r.refusal]
    return "\n".join([*lines, *([""] if refusals else []), *refusals]) + "\n"


def draw(results: list[Result]):
    """Return a Matplotlib figure with bars of both times and of the temporaries, in groups of one side."""
    from matplotlib.figure import Figure

    measured = [result for result in results if not result.refusal]
    sides = list(dict.fromkeys(result.side for result in measured))
    titles = list(dict.fromkeys(result.title for result in measured))
    panels = {
        f"{FORWARD}, ms": lambda result: 1e3 * result.seconds[FORWARD][1],
        f"{TRAINING}, ms": lambda result: 1e3 * result.seconds[TRAINING][1],
        f"temporaries of {TRAINING}, MiB": lambda result: result.memory["temporary"] / 2**20,
    }
    figure = Figure(figsize=(14, 4), layout="constrained")
    width = 0.8 / len(titles)
    for axis, (panel, value) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        for i, title in enumerate(titles):
            own = [result for result in measured if result.title == title]
            places = [sides.index(r.side) + (i - (len(titles) - 1) / 2) * width for r in own]
            axis.bar(places, [value(result) for result in own], width, label=title)
        axis.set_xticks(range(len(sides)), [f"{side} px" for side in sides])
        axis.set_title(panel, fontsize="medium")
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=len(titles))
    return figure
