"""The quickstart from data to page, with a config that takes seconds."""

import re

import pytest

from experiments import quickstart
from ocgm import inference


@pytest.mark.skipif(not inference.PRETRAINED.exists(), reason="no checkpoint ships with this tree")
def test_quickstart(tiny_config, tmp_path, capsys):
    config = tiny_config(num_train_steps=4, log_every_steps=2)
    run = tmp_path / "run"
    quickstart.run(config, run, num_images=16)

    last = capsys.readouterr().out.strip().splitlines()[-1]
    pattern = r"ari_fg=-?\d\.\d\d msc_fg=\d\.\d\d train_minutes=\d+\.\d pretrained_ari_fg=-?\d\.\d\d report=(.+)"
    report = re.fullmatch(pattern, last).group(1)
    page = (run / "report.html").read_text()
    assert report == str(run / "report.html")
    assert "shipped checkpoint" in page and page.count("data:image/png;base64,") >= 4
    assert len(list(run.glob("*.png"))) == 4
