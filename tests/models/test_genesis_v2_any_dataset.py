"""Models on the datasets of every kind: trained, resumed and evaluated through the commands' functions."""

import json

import numpy as np
import pytest
from helpers import assert_same, command, metrics_of, saved
from PIL import Image

from ocgm.datasets.objects_room_synthetic import objects_room_synthetic_dataset_builder as rooms
from ocgm.training import loop

pytestmark = pytest.mark.compiles


@pytest.fixture
def changes(monkeypatch) -> dict[str, object]:
    """A tiny experiment on synthetic rooms, made while it trains."""
    monkeypatch.setattr(rooms.Builder, "BLOCK", 16)
    return {
        "data__name": "objects_room_synthetic",
        "data__on_the_fly": True,
        "data__num_examples": (),
        "num_train_steps": 4,
        "checkpoint__every_steps": 2,
        "evaluation__every_steps": 4,
    }


def test_scenes_made_while_training(tiny_config, changes, tmp_path):
    """They need no disk, the run resumes bit-exactly, and every split can be evaluated."""
    changes["data__data_dir"] = str(tmp_path / "data")
    for steps in (2, 4):
        loop.train(tiny_config(**{**changes, "num_train_steps": steps}), tmp_path / "stopped")
    loop.train(tiny_config(**changes), tmp_path / "whole")
    assert_same(saved(tmp_path / "stopped"), saved(tmp_path / "whole"))
    assert not (tmp_path / "data").exists()
    assert np.isfinite(list(metrics_of(tmp_path / "whole", "train/loss").values())).all()

    arguments = (f"--workdir={tmp_path / 'whole'}", "--num_images=12", "--batch_size=8")
    done = command("evaluate", *arguments, "--split=test_six_objects")
    assert done.out.startswith("step 4, 12 test_six_objects images of objects_room_synthetic\n")
    record = json.loads((tmp_path / "whole" / "evaluation.json").read_text())
    assert (record["dataset"], record["split"]) == ("objects_room_synthetic", "test_six_objects")
    assert -1 <= record["ari_fg_attention"] <= 1
    done = command("evaluate", *arguments, "--split=test_sixty_objects")
    assert done.status == 1
    assert "no split 'test_sixty_objects' in objects_room_synthetic: ['train'," in done.err


def test_folder_of_pictures(tiny_config, tmp_path):
    """Pictures without masks: everything but the segmentation metrics."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    rng = np.random.default_rng(0)
    for i in range(40):
        image = rng.integers(0, 256, (40, 50, 3), np.uint8)
        Image.fromarray(image).save(pictures / f"{i}.png")
    config = tiny_config(
        data__name="folder",
        data__variant="mine",
        data__manual_dir=str(pictures),
        data__data_dir=str(tmp_path / "data"),
        data__num_examples=(),
        num_train_steps=2,
        evaluation__num_images=4,
    )
    scores = loop.train(config, tmp_path / "run")
    assert np.isfinite(scores["reconstruction_error"]) and not any(
        "ari_" in name for name in scores
    )
    assert (tmp_path / "data" / "folder" / "mine_32").is_dir()
