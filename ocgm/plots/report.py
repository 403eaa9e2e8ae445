"""A self-contained HTML report about runs: it opens from disk and loads nothing from the network."""

import base64
import html
import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from PIL import Image

from ocgm import run_dir
from ocgm.files import write_atomically
from ocgm.plots import curves, figures


class Run(NamedTuple):
    """A run whose training curves and config the page shows.

    Attributes:
      label: heading, e.g. "Quickstart run".
      metrics_path: its `metrics.jsonl`, see `run_dir.read_metrics`.
      config: the resolved config as text.
      reconstruction_goal: GECO's goal in nats an element, drawn as a line; None without a goal.
    """

    label: str
    metrics_path: str | os.PathLike[str]
    config: str
    reconstruction_goal: float | None = None


class Picture(NamedTuple):
    """A picture with its heading and a description that also serves as alternative text."""

    title: str
    description: str
    image: Image.Image


_NOTES = """
<dl class="notes">
<dt>ARI-FG</dt><dd>adjusted Rand index over the pixels of objects: 1 is a perfect grouping, 0 is
chance level.</dd>
<dt>mSC-FG</dt><dd>mean segmentation covering: the best overlap (intersection over union) of each
object with a slot, from 0 to 1; pixels of the background in a slot lower it.</dd>
<dt>Attention and decoded masks</dt><dd>the masks that the encoder infers, and the masks that the
decoder outputs.</dd>
<dt>Reconstruction error</dt><dd>negative log-likelihood in nats an element (a colour value of a
pixel); lower is better.</dd>
</dl>
"""

_STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1f2328; --soft: #59636e;
  --line: #d1d9e0; --card: #f6f8fa; --grid: #d1d9e0; --series-0: #0072b2; --series-1: #b04a00;
  --series-2: #8a2b6b; --goal: #00734f; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171c; --ink: #e6e9ed; --soft: #a4adb8;
  --line: #3a424c; --card: #1d2229; --grid: #3a424c; --series-0: #6cbcf0; --series-1: #f5a35c;
  --series-2: #e58fc4; --goal: #4fd0a3; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .75rem; }
h2 { font-size: 1.3rem; margin: 3rem 0 .75rem; padding-bottom: .3rem;
  border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 0; }
h3 .soft { font-weight: 400; }
p, dl { max-width: 46rem; }
.soft, figcaption { color: var(--soft); font-size: .9rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .5rem .9rem; border-bottom: 1px solid var(--line); text-align: right; }
th { font-weight: 600; }
tbody th, td { white-space: nowrap; }
thead th { color: var(--soft); font-size: .85rem; vertical-align: bottom; }
tr > :first-child { text-align: left; padding-left: 0; }
.notes { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1rem; font-size: .9rem;
  color: var(--soft); margin: 1.25rem 0 0; max-width: 54rem; }
.notes dt { font-weight: 600; max-width: 11rem; }
.notes dd { margin: 0; }
.curves { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 320px), 1fr));
  gap: 1rem; }
.curves figure { margin: 0; padding: .9rem; background: var(--card); border-radius: 8px; }
.curves svg { display: block; width: 100%; height: auto; margin: .4rem 0; }
.curves svg text, .curves svg tspan { font-family: inherit !important; }
.key { display: inline-block; width: 1.6em; border-top: 2.5px solid; vertical-align: middle;
  margin-right: .4em; }
.picture { margin: 1.75rem 0; }
.picture figcaption { margin: .1rem 0 .6rem; max-width: 46rem; }
.picture img { display: block; border-radius: 6px; border: 1px solid var(--line); }
@media (max-width: 600px) { .notes { grid-template-columns: 1fr; } .notes dt { max-width: none; } }
summary { cursor: pointer; padding: .4rem 0; }
pre { background: var(--card); border-radius: 8px; padding: 1rem; overflow-x: auto;
  font: .82rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
"""


def write_report(
    path: str | os.PathLike[str],
    *,
    title: str,
    introduction: str,
    data_label: str,
    summary_rows: Mapping[str, Mapping[str, str | float | None]],
    runs: Sequence[Run],
    pictures: Sequence[Picture],
) -> None:
    """Write the page atomically.

    Args:
      path: the HTML file to write; missing directories are created.
      title: heading of the page.
      introduction: a paragraph of plain text below the heading.
      data_label: what the images are and how they were generated, as plain text.
      summary_rows: the table of results, label -> {column: value}, with columns in the order of their
        first use. A value is an int, a float (shown to about 4 digits), or a text; missing values,
        None and values that are not finite are shown as a dash.
      runs: curves and configs, one section per run.
      pictures: figures, shown at their own size in this order.

    Raises:
      UserError: a run's metrics file is missing, or Matplotlib is not installed.
      OSError: the page cannot be written.
    """
    escaped_title = html.escape(title)
    sections = [
        f"<h1>{escaped_title}</h1>\n<p>{html.escape(introduction)}</p>\n"
        f'<p class="soft">Data: {html.escape(data_label)}</p>',
        f"<h2>Results</h2>\n{_table(summary_rows)}{_NOTES}",
        *(_picture_section(pictures) if pictures else []),
        *(_curves_section(i, run) for i, run in enumerate(runs)),
        "<h2>Configuration</h2>",
        *(_config_block(run) for run in runs),
    ]
    page = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        # The browser refuses any request to the network.
        '<meta http-equiv="Content-Security-Policy"'
        " content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escaped_title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(sections)
        + "\n</main>\n</body>\n</html>\n"
    )
    write_atomically(path, page.encode())


def _table(rows: Mapping[str, Mapping[str, str | float | None]]) -> str:
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    head = "".join(f'<th scope="col">{html.escape(column)}</th>' for column in ["", *columns])
    body = "\n".join(
        f'<tr><th scope="row">{html.escape(label)}</th>'
        + "".join(f"<td>{_cell(row.get(column))}</td>" for column in columns)
        + "</tr>"
        for label, row in rows.items()
    )
    return (
        f'<div class="scroll"><table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def _cell(value: str | float | None) -> str:
    return html.escape(value) if isinstance(value, str) else curves.format_value(value)


def _picture_section(pictures: Sequence[Picture]) -> list[str]:
    return [
        "<h2>Pictures</h2>",
        *(
            f'<figure class="picture">\n<h3>{html.escape(picture.title)}</h3>\n'
            f"<figcaption>{html.escape(picture.description)}</figcaption>\n"
            f'<div class="scroll"><img alt="{html.escape(picture.description)}"'
            f' width="{picture.image.width}" height="{picture.image.height}"'
            f' src="data:image/png;base64,{_base64_png(picture.image)}"></div>\n</figure>'
            for picture in pictures
        ),
    ]


def _base64_png(image: Image.Image) -> str:
    return base64.b64encode(figures.encode_png(image)).decode("ascii")


def _config_block(run: Run) -> str:
    return (
        f"<details><summary>{html.escape(run.label)}</summary>\n"
        f"<pre>{html.escape(run.config)}</pre></details>"
    )


def _curves_section(index: int, run: Run) -> str:
    heading = f"<h2>Training curves: {html.escape(run.label)}</h2>\n"
    metrics = run_dir.read_metrics(run.metrics_path)
    panels = curves.curve_figures(metrics, run.reconstruction_goal, id_prefix=f"run{index}-")
    if not panels:
        return heading + "<p>Nothing was logged.</p>"
    return (
        f'{heading}<p class="soft">Values as logged, over training steps. The top of a linear axis'
        " leaves out the highest 2 % of the values, so that the first steps do not flatten the"
        ' rest.</p>\n<div class="curves">\n' + "\n".join(panels) + "\n</div>"
    )
