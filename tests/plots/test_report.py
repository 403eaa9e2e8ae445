"""The HTML page: self-contained, well-formed, escaped, and its curves hold the data."""

import base64
import io
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from helpers import KILLED_AND_RESUMED
from PIL import Image

from ocgm.errors import UserError
from ocgm.plots import curves, report

_GOAL = 0.5655
_STEPS = np.arange(0, 400, 10)
_VALUES = {
    "train/loss": 2000 + 100 * np.sin(_STEPS),
    "train/reconstruction_error_per_element": 0.55 + 0.2 * np.cos(_STEPS),
    "train/kl": 10 + _STEPS / 7,
    "train/beta": 10.0 ** (-_STEPS / 100),
}
_EVAL_STEPS = np.arange(0, 400, 100)
_EVAL_VALUES = {
    "eval/ari_fg_attention": np.array([0.0, 0.2, 0.7, 0.61]),
    "eval/ari_fg_decoded": np.array([0.1, 0.3, 0.6, 0.82]),
    "eval/msc_fg_attention": np.array([0.0, 0.1, 0.4, 0.5]),
}
_VOID = {"meta", "img", "br"}


class _Page(HTMLParser):
    """Checks nesting while it collects attributes and text."""

    def __init__(self, path: Path):
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.open, self.elements, self.text = [], [], ""
        self.feed(self.source)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def curve(self, identifier: str) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates of the first path after the element with this id, y upwards."""
        ids = [attributes.get("id") for _, attributes in self.elements]
        rest = self.elements[ids.index(identifier) :]
        data = next(attributes["d"] for tag, attributes in rest if tag == "path")
        points = np.array(re.findall(r"[ML] (\S+) (\S+)", data), float)
        return points[:, 0], -points[:, 1]


def _write_metrics(path: Path) -> Path:
    lines = [
        {"step": int(step)} | {name: float(values[i]) for name, values in series.items()}
        for steps, series in ((_STEPS, _VALUES), (_EVAL_STEPS, _EVAL_VALUES))
        for i, step in enumerate(steps)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def _write_page(folder: Path, **changes) -> _Page:
    metrics = _write_metrics(folder / "metrics.jsonl")
    picture = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
    arguments = {
        "title": "GENESIS-V2",
        "introduction": "Two runs.",
        "data_label": "invented",
        "summary_rows": {
            "quick": {"steps": 4000, "ARI-FG": 0.4123, "training": "9 min", "mSC-FG": float("nan")},
            "shipped": {"steps": 200_000, "ARI-FG": np.float32(0.86), "loss": 1744.25},
        },
        "runs": [
            report.Run("quick", metrics, "batch_size: 32", _GOAL),
            report.Run("shipped", metrics, "batch_size: 64"),
        ],
        "pictures": [report.Picture("Inputs", "Four by four.", picture)],
    }
    path = folder / "page" / "report.html"
    report.write_report(path, **(arguments | changes))
    return _Page(path)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> _Page:
    return _write_page(tmp_path_factory.mktemp("report"))


def _without_pictures(source: str) -> str:
    return re.sub(r"base64,[^\"]*", "", source)


def test_page_asks_nothing_of_the_network(page: _Page) -> None:
    source = _without_pictures(page.source)
    assert "http:" not in source
    assert "https:" not in source
    assert "@import" not in source
    assert not {"script", "link", "iframe", "object", "base"} & {tag for tag, _ in page.elements}
    for _, attributes in page.elements:
        for name in ("src", "href", "xlink:href", "srcset"):
            assert attributes.get(name, "#").startswith(("#", "data:image/png;base64,"))
    assert all(target.startswith("#") for target in re.findall(r"url\((.*?)\)", source))
    policy = next(meta["content"] for meta in page.all("meta") if "http-equiv" in meta)
    assert "default-src 'none'" in policy


def test_pictures_are_embedded_with_alternative_text(page: _Page) -> None:
    (image,) = page.all("img")
    assert image["alt"] == "Four by four."
    data = base64.b64decode(image["src"].removeprefix("data:image/png;base64,"))
    pixels = np.asarray(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(pixels.ravel(), np.arange(48))


def test_references_in_svg_hit_unique_ids(page: _Page) -> None:
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    references = re.findall(r'(?:url\(|href=")#([^")]*)', _without_pictures(page.source))
    assert references
    assert set(references) <= set(ids)


@pytest.mark.parametrize("name", [*_VALUES, *_EVAL_VALUES])
def test_curves_hold_the_data(page: _Page, name: str) -> None:
    steps, series = (_STEPS, _VALUES) if name in _VALUES else (_EVAL_STEPS, _EVAL_VALUES)
    values = np.log(series[name]) if name == "train/beta" else series[name]
    panels = ["loss", "reconstruction_error_per_element", "kl", "beta", "ari_fg", "msc_fg"]
    panel = panels.index(name.split("/")[1].removesuffix("_decoded").removesuffix("_attention"))
    for run in range(2):
        x, y = page.curve(f"run{run}-{panel}-{name}")
        for drawn, data in ((x, steps), (y, values)):
            slope, offset = np.polyfit(data, drawn, 1)
            assert slope > 0
            np.testing.assert_allclose(drawn, slope * data + offset, atol=0.01)


def test_goal_line_lies_at_the_goal(page: _Page) -> None:
    name = "train/reconstruction_error_per_element"
    _, y = page.curve(f"run0-1-{name}")
    expected = np.polyval(np.polyfit(_VALUES[name], y, 1), _GOAL)
    np.testing.assert_allclose(page.curve("run0-1-goal")[1], [expected, expected], atol=0.01)
    assert page.source.count("goal: 0.5655</figcaption>") == 1  # Only the first run has one.


def test_legend_and_description_tell_the_last_values(page: _Page) -> None:
    assert "attention masks: 0.6100 at step 300" in page.text
    assert "decoded masks: 0.8200 at step 300" in page.text
    labels = [svg["aria-label"] for svg in page.all("svg")]
    assert len(labels) == 2 * 6
    assert (
        "ARI-FG. attention masks: 0.6100 at step 300; decoded masks: 0.8200 at step 300" in labels
    )


def test_curves_follow_the_colours_of_the_page(page: _Page) -> None:
    source = page.source
    assert "prefers-color-scheme: dark" in source
    drawn = re.findall(r"<svg.*?</svg>", source, flags=re.DOTALL)
    for svg in drawn:
        assert "#0101" not in svg
        assert "var(--series-0)" in svg
        assert "currentColor" in svg
    variables = set(re.findall(r"var\((--[\w-]+)\)", source))
    for variable in variables:
        assert source.count(f"{variable}: #") == 2, variable  # Light and dark.


def test_outliers_at_the_start_do_not_flatten_the_curve(tmp_path: Path) -> None:
    values = np.linspace(1.0, 0.5, 101)
    values[0] = 1000.0
    series = {"train/loss": (np.arange(101.0), values)}
    (figure,) = curves.curve_figures(series, goal=None, id_prefix="")
    path = tmp_path / "figure.html"
    path.write_text(figure)
    _, y = _Page(path).curve("0-train/loss")
    assert np.ptp(y[1:]) > 100  # Points, of a panel 187 high.


def test_table_of_results(page: _Page) -> None:
    rows = re.findall(r"<tr>(.*?)</tr>", page.source, flags=re.DOTALL)
    cells = [re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row) for row in rows]
    assert cells == [
        ["", "steps", "ARI-FG", "training", "mSC-FG", "loss"],
        ["quick", "4,000", "0.4123", "9 min", "\N{EN DASH}", "\N{EN DASH}"],
        ["shipped", "200,000", "0.8600", "\N{EN DASH}", "\N{EN DASH}", "1,744.2"],
    ]
    assert "batch_size: 64" in page.text


def test_text_is_escaped(tmp_path: Path) -> None:
    evil = "<script>alert(\"1\")</script> & 'x'"
    metrics = _write_metrics(tmp_path / "metrics.jsonl")
    page = _write_page(
        tmp_path,
        title=evil,
        introduction=evil,
        data_label=evil,
        summary_rows={evil: {evil: evil}},
        runs=[report.Run(evil, metrics, evil)],
        pictures=[report.Picture(evil, evil, Image.new("RGB", (2, 2)))],
    )
    assert "<script" not in page.source
    assert not page.all("script")
    assert page.text.count(evil) == 12
    assert page.all("img")[0]["alt"] == evil


def test_page_of_a_killed_and_resumed_run(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(KILLED_AND_RESUMED)
    page = _write_page(tmp_path, runs=[report.Run("resumed", path, "")])
    assert not re.search(r"\b(nan|inf|infinity)\b", _without_pictures(page.source), re.IGNORECASE)


def test_missing_and_empty_metrics(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.jsonl does not exist"):
        _write_page(tmp_path, runs=[report.Run("gone", tmp_path / "nowhere.jsonl", "")])
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    page = _write_page(tmp_path, runs=[report.Run("empty", empty, "")], pictures=[])
    assert "Nothing was logged." in page.text
    assert "Pictures" not in page.text


def test_missing_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UserError, match=r'pip install "ocgm\[report\]"'):
        _write_page(tmp_path)
    assert not (tmp_path / "page").exists()


def test_a_goal_or_beta_of_zero_and_a_single_point_can_be_drawn() -> None:
    metrics = {
        "train/reconstruction_error_per_element": (np.array([0.0]), np.array([0.7])),
        "train/beta": (np.array([0.0, 1.0]), np.array([0.0, 0.5])),
    }
    error, beta = curves.curve_figures(metrics, goal=0.0, id_prefix="")
    assert "goal: 0.000" in error
    assert "beta: 0.5000 at step 1" in beta


def test_three_kinds_of_masks_have_three_curves() -> None:
    names = ("eval/ari_fg", "eval/ari_fg_attention", "eval/ari_fg_decoded")
    series = (np.array([0.0, 10.0]), np.array([0.1, 0.8]))
    (figure,) = curves.curve_figures(dict.fromkeys(names, series), None, "run-")
    for i, name in enumerate(names):
        assert f"var(--series-{i})" in figure and f'id="run-4-{name}"' in figure
