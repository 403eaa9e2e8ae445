"""Training curves, drawn as SVG that follows the page's colors."""

import io
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ocgm.errors import UserError
from ocgm.run_dir import Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class _Panel(NamedTuple):
    title: str
    unit: str
    metrics: Mapping[str, str]  # Name in the file: name in the legend.
    scale: str = "linear"  # Also "log", and "share" for a fixed range from 0 to 1.


_PANELS = (
    _Panel("Loss", "nats an image", {"train/loss": "loss"}),
    _Panel(
        "Reconstruction error",
        "nats an element",
        {"train/reconstruction_error_per_element": "error"},
    ),
    _Panel("KL divergence", "nats an image", {"train/kl": "KL"}),
    _Panel("Beta", "weight of the KL", {"train/beta": "beta"}, "log"),
    _Panel(
        "ARI-FG",
        "held-out images",
        {
            "eval/ari_fg": "masks",
            "eval/ari_fg_attention": "attention masks",
            "eval/ari_fg_decoded": "decoded masks",
        },
        "share",
    ),
    _Panel(
        "mSC-FG",
        "held-out images",
        {
            "eval/msc_fg": "masks",
            "eval/msc_fg_attention": "attention masks",
            "eval/msc_fg_decoded": "decoded masks",
        },
        "share",
    ),
)
_GOAL_METRIC = "train/reconstruction_error_per_element"
_LINE_STYLES = ("solid", "dashed", "dashdot")

# Matplotlib cannot write CSS variables, so it draws in these colors, which are replaced afterwards:
# the curves then follow the light or dark colors of the page.
_CSS_COLORS = {
    "#010101": "currentColor",
    "#010102": "var(--grid)",
    "#010103": "var(--series-0)",
    "#010104": "var(--series-1)",
    "#010105": "var(--series-2)",
    "#010106": "var(--goal)",
}
_INK, _GRID, *_SERIES, _GOAL = _CSS_COLORS


def curve_figures(metrics: Mapping[str, Series], goal: float | None, id_prefix: str) -> list[str]:
    """Draw loss, reconstruction error, KL, beta, ARI-FG and mSC-FG over training steps.

    The page must define the CSS variables `--grid`, `--series-0`, `--series-1`, `--series-2` and `--goal`.

    Args:
      metrics: as `run_dir.read_metrics` returns them; panels without data are left out.
      goal: goal of the reconstruction error in nats an element, or None.
      id_prefix: prefix of every id in the SVG; must differ between the runs on one page.

    Returns:
      HTML `figure` elements, each with inline SVG and a legend with the last values.

    Raises:
      UserError: Matplotlib is not installed.
    """
    found = []
    for i, panel in enumerate(_PANELS):
        series = {name: metrics[name] for name in panel.metrics if name in metrics}
        if series:
            panel_goal = goal if _GOAL_METRIC in series else None
            found.append(_curve_figure(panel, series, panel_goal, f"{id_prefix}{i}-"))
    return found


def format_value(value: float | None) -> str:
    """Return the text of a number: an int in full, a float to about 4 digits, a dash for None and not finite.

    Args:
      value: any number, or None.

    Returns:
      E.g. "200,000", "1,744.2", "0.8600".
    """
    if value is None or not math.isfinite(value):
        return "\N{EN DASH}"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.1f}" if abs(value) >= 100 else f"{value:#.4g}"


def _curve_figure(
    panel: _Panel, series: Mapping[str, Series], goal: float | None, id_prefix: str
) -> str:
    """Return a panel as an HTML figure, with a legend that has the last values."""
    legend = [
        (
            f"--series-{i}",
            style,
            f"{panel.metrics[name]}: {format_value(float(values[-1]))} at step {int(steps[-1]):,}",
        )
        for i, (style, (name, (steps, values))) in enumerate(
            zip(_LINE_STYLES[: len(series)], series.items(), strict=True)
        )
    ]
    if goal is not None:
        legend.append(("--goal", "dotted", f"goal: {format_value(goal)}"))
    entries = "<br>".join(
        f'<span class="key" style="border-top-style: {style}; border-color: var({color})"></span>'
        + text
        for color, style, text in legend
    )
    description = f"{panel.title}. " + "; ".join(text for *_, text in legend)
    svg = _curve_svg(panel, series, goal, id_prefix)
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{description}"', 1)
    return (
        f'<figure>\n<h3>{panel.title} <span class="soft">({panel.unit})</span></h3>\n{svg}\n'
        f"<figcaption>{entries}</figcaption>\n</figure>"
    )


def _curve_svg(
    panel: _Panel, series: Mapping[str, Series], goal: float | None, id_prefix: str
) -> str:
    """Draw a panel as SVG; `id_prefix` makes its ids unique on the page."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
        from matplotlib.ticker import EngFormatter
    except ImportError as error:
        raise UserError(
            'Matplotlib, which draws the curves, is missing: pip install "ocgm[report]".'
        ) from error
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "ocgm"}):
        figure = Figure(figsize=(4.4, 2.6), layout="constrained")
        axes = figure.add_subplot()
        for i, (name, (steps, values)) in enumerate(series.items()):
            axes.plot(
                steps, values, color=_SERIES[i], linestyle=_LINE_STYLES[i], linewidth=1.5, gid=name
            )
        if goal is not None:
            axes.axhline(goal, color=_GOAL, linestyle=":", linewidth=1.8, zorder=3, gid="goal")
        _set_vertical_range(axes, panel.scale, series, goal)
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.grid(color=_GRID, linewidth=0.6)
        axes.tick_params(which="both", colors=_INK, length=0, labelsize=9)
        axes.spines[:].set_visible(False)
        buffer = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    svg = buffer.getvalue()
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg[svg.index("<svg") :])
    svg = re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{id_prefix}", svg)
    for color, css in _CSS_COLORS.items():
        svg = svg.replace(color, css)
    return svg


def _set_vertical_range(
    axes: "Axes", scale: str, series: Mapping[str, Series], goal: float | None
) -> None:
    values = np.concatenate([values for _, values in series.values()])
    if scale == "share":
        axes.set_ylim(min(0.0, values.min()) - 0.03, 1.03)
    elif scale == "log" and values.min() > 0:
        axes.set_yscale("log")
    else:
        top = np.quantile(values, 0.98, method="higher")
        goals = [] if goal is None else [goal]
        low, high = min([values.min(), *goals]), max([top, *goals])
        margin = 0.05 * (high - low) or 0.5
        axes.set_ylim(low - margin, high + margin)
