"""The quickstart from data to page, as `make quickstart` runs it, with a config that takes seconds."""

import re

import pytest
from helpers import finish, start, write_config

pytestmark = pytest.mark.compiles


def test_quickstart(tiny_config, tmp_path):
    config = write_config(tmp_path, tiny_config(num_train_steps=4, log_every_steps=2))
    run = tmp_path / "run"
    arguments = (f"--config={config}", f"--workdir={run}", "--num_images=16")
    result = finish(start("-m", "experiments.quickstart", *arguments))
    assert result.status == 0, result.err

    pattern = (
        r"ari_fg=-?\d\.\d\d msc_fg=\d\.\d\d train_minutes=\d+\.\d"
        r" pretrained_ari_fg=-?\d\.\d\d report=(.+)"
    )
    report = re.fullmatch(pattern, result.out.strip().splitlines()[-1]).group(1)
    assert report == str(run / "report.html")
    page = (run / "report.html").read_text()
    assert "shipped checkpoint" in page and page.count("data:image/png;base64,") >= 4
    assert len(list(run.glob("*.png"))) == 4
