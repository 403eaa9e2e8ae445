"""`ocgm data`, as a user calls it."""

import importlib
import io
import pathlib
import shutil
import zipfile

import numpy as np
import pytest
import tensorflow_datasets as tfds
from download_server import running
from helpers import Result, command
from PIL import Image

from ocgm.data import DATASETS, inventory
from ocgm.datasets.apc.apc_dataset_builder import Builder as Apc
from ocgm.datasets.builders import base
from ocgm.datasets.builders.downloads import Download
from ocgm.datasets.gqn_synthetic import gqn_synthetic_dataset_builder as gqn
from ocgm.datasets.tetrominoes_synthetic import tetrominoes_synthetic_dataset_builder as tetrominoes
from ocgm.plots import contact_sheet, palette

TINY = ("tetrominoes_synthetic", "--num_examples=64,8,8")


@pytest.fixture
def run(tmp_path):
    """Runs the command on a data directory of its own."""
    return lambda *arguments: command("data", *arguments, f"--data_dir={tmp_path}")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> tuple[pathlib.Path, Result]:
    """A data directory with a tiny dataset, and how preparing it went; tests must not change it."""
    folder = tmp_path_factory.mktemp("prepared")
    return folder, command("data", "prepare", *TINY, f"--data_dir={folder}")


@pytest.fixture
def damaged(prepared, tmp_path) -> pathlib.Path:
    """Folder of the tiny dataset, in a copy that may be damaged."""
    shutil.copytree(prepared[0], tmp_path, dirs_exist_ok=True)
    return tmp_path / "tetrominoes_synthetic" / "default_n64_8_8" / "1.1.0"


def assert_error(done: Result, *parts: str) -> None:
    assert done.status == 1
    assert done.err.startswith("error: ") and len(done.err.splitlines()) == 1, done.err
    assert done.out == ""
    for part in parts:
        assert part in done.err, done.err


def row(done: Result, name: str) -> tuple[str, list[str]]:
    """The row of a dataset and the lines below it."""
    lines = done.out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.split()[:1] == [name])
    details = []
    for line in lines[start + 1 :]:
        if not line.startswith("    "):
            break
        details.append(line.strip())
    return lines[start], details


# ---- words and flags


def test_usage():
    done = command("data")
    assert done.status == 0
    for name in ("list", "prepare NAME", "preview NAME"):
        assert f"ocgm data {name}" in done.out


@pytest.mark.parametrize(
    "arguments,parts",
    [
        (["lst"], ("unknown command 'lst'; there are list, prepare, preview",)),
        (["prepare"], ("prepare takes the name of one dataset, not 0 names",)),
        (["preview", "gqn", "apc"], ("preview takes the name of one dataset", "gqn apc")),
        (["list", "gqn"], ("list takes no name, not 1 names (gqn)",)),
        (
            ["prepare", "multi_dsprite"],
            ("unknown dataset 'multi_dsprite'", "did you mean multi_dsprites?"),
        ),
        (["preview", "tetromino"], ("unknown dataset 'tetromino'", "did you mean tetrominoes?")),
        (["list", "--split=test"], ("list does not take --split",)),
        (["preview", "gqn", "--nodownload"], ("preview does not take --download",)),
        (["prepare", "gqn", "--num_examples=a,b"], ("--num_examples=a,b is not three whole",)),
        (["prepare", TINY[0], "--num_examples=1,2"], ("num_examples=(1, 2): expected three",)),
        (["prepare", TINY[0], "--variant=odd"], ("has the variants default, not 'odd'",)),
        (
            ["prepare", "multi_dsprites", "--image_size=65"],
            ("image_size=65", "stored at 64 pixels"),
        ),
        (["preview", TINY[0], "--split=val"], ("no split 'val'", "train, validation, test")),
        (["preview", "shapestacks"], ("shapestacks/default/1", "`ocgm data prepare shapestacks`")),
    ],
)
def test_mistakes(run, tmp_path, arguments, parts):
    assert_error(run(*arguments), *parts)
    assert list(tmp_path.iterdir()) == []


# ---- list


def test_list_of_nothing(run, tmp_path):
    done = run("list")
    assert done.status == 0
    assert [line.split()[0] for line in done.out.splitlines()[1:-2]] == list(DATASETS)
    assert row(done, "gqn")[0].split()[-6:] == ["64", "7", "no", "published", "files", "missing"]
    assert row(done, "gqn_synthetic")[0].split()[-5:] == [
        *("7", "yes", "synthetic", "not", "prepared")
    ]
    assert "generated" in row(done, "multi_dsprites")[0]
    assert list(tmp_path.iterdir()) == []
    assert command("data", "list", f"--data_dir={tmp_path / 'none'}").status == 0


def test_list_of_what_is_there(prepared):
    folder = prepared[0]
    done = command("data", "list", f"--data_dir={folder}")
    line, details = row(done, TINY[0])
    assert line.endswith("prepared") and "not" not in line
    size = sum(file.stat().st_size for file in folder.glob("tetr*/*/1.1.0/*")) / 1000
    assert details == [f"default_n64_8_8/1.1.0: train 64, validation 8, test 8, {size:.3g} kB"]


def test_list_reports_skipped_records(run, damaged):
    (damaged / "metadata.json").write_text('{"skipped_records": 3}')
    line, details = row(run("list"), TINY[0])
    assert details[0].endswith("kB, 3 damaged records left out")
    assert line.endswith("prepared")


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: (path / "dataset_info.json").unlink(),
        lambda path: (path / "dataset_info.json").write_text("{"),
        lambda path: (path / "dataset_info.json").write_text("[]"),
        lambda path: (path / "dataset_info.json").write_text('{"name": "x", "splits": [1]}'),
        lambda path: (path / "dataset_info.json").write_text('{"name": "x", "splits": []}'),
        lambda path: (path / "dataset_info.json").write_bytes(b"\xff"),
        lambda path: next(path.glob("*test*")).unlink(),
        lambda path: [file.unlink() for file in path.iterdir()],
    ],
)
def test_list_of_damaged_folders(run, damaged, damage):
    damage(damaged)
    (damaged.parent / "a file").touch()
    done = run("list")
    assert done.status == 0
    line, details = row(done, TINY[0])
    assert line.endswith("damaged")
    assert details[0].startswith("default_n64_8_8/1.1.0: damaged (")
    assert f"delete {damaged} and prepare it again" in details[0]


def test_list_of_unfinished_things(run, tmp_path):
    (tmp_path / "tetrominoes_synthetic" / "default" / "incomplete.AB_1.1.0").mkdir(parents=True)
    (tmp_path / "multi_dsprites").write_text("not a folder")
    folder = tmp_path / "downloads" / "apc"
    folder.mkdir(parents=True)
    (folder / "training.zip.part").write_bytes(b"12345")
    done = run("list")
    line, details = row(done, TINY[0])
    assert line.endswith("not prepared")
    assert details == ["default: in preparation, or interrupted"]
    line, details = row(done, "apc")
    assert line.endswith("files missing")
    assert details[0] == "training.zip is partly downloaded: 5 B"
    assert "scene-" in details[1]
    assert done.status == 0


# ---- prepare


def test_prepare(prepared):
    folder, done = prepared
    assert done.status == 0
    path = folder / "tetrominoes_synthetic" / "default_n64_8_8" / "1.1.0"
    first, counts, rate = done.out.splitlines()
    assert first == f"tetrominoes_synthetic/default_n64_8_8/1.1.0 is ready: {path}"
    assert counts.startswith("  train 64, validation 8, test 8 records, ")
    assert rate.endswith(" records/s")
    assert path.is_dir()


def test_prepare_again(prepared):
    folder, before = prepared
    done = command("data", "prepare", *TINY, f"--data_dir={folder}")
    assert done.status == 0
    first, counts = done.out.splitlines()
    assert "is already prepared: " in first
    assert counts == before.out.splitlines()[1]
    assert done.err == ""


def test_interrupted(run, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(tetrominoes.Builder, "block", interrupted)
    done = run("prepare", *TINY)
    assert done.status == 130
    assert done.err.splitlines()[-1] == "error: interrupted."
    assert row(run("list"), TINY[0])[1] == []
    monkeypatch.undo()
    assert "is ready" in run("prepare", *TINY).out


def test_damaged_dataset(run, damaged):
    (damaged / "dataset_info.json").unlink()
    assert_error(run("prepare", *TINY), str(damaged), "damaged", "delete it")


@pytest.mark.parametrize("flags", [["--nodownload"], ["--manual_dir={}"], []])
def test_files_that_are_missing(run, tmp_path, monkeypatch, flags):
    if not flags:
        monkeypatch.setattr(Apc, "downloads", lambda _: ())
    folder = tmp_path / "mine" if "--manual_dir={}" in flags else tmp_path / "downloads" / "apc"
    done = run("prepare", "apc", *(flag.format(folder) for flag in flags))
    assert_error(
        done,
        "APC 2016 (MIT-Princeton): ",
        f"{folder}/ENVIRONMENT/OBJECT/scene-NNNN",
        "To get it, download and unpack",
        "--manual_dir=DIR",
    )
    assert "ocgm data prepare" not in done.err  # That is the command that was run.


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def archive() -> bytes:
    """A zip file with three scenes of one frame as in the files of APC; one picture is damaged."""
    file, mask = io.BytesIO(), np.zeros((480, 640), np.uint8)
    mask[:, 200:300] = 255
    with zipfile.ZipFile(file, "w") as content:
        for scene in range(3):
            folder = f"training/shelf/duck/scene-000{scene}"
            picture = png(np.full((480, 640, 3), 90 * scene, np.uint8))
            content.writestr(f"{folder}/frame-000000.color.png", picture)
            content.writestr(f"{folder}/masks/frame-000000.mask.png", png(mask))
            content.writestr(f"{folder}/frame-000001.color.png", picture[:40] if scene else picture)
            content.writestr(f"{folder}/masks/frame-000001.mask.png", png(mask))
    return file.getvalue()


def test_download_and_prepare(run, tmp_path, monkeypatch, archive):
    with running(archive) as server:
        download = Download(url=server.url.replace("file.bin", "training.zip"), unpack=True)
        monkeypatch.setattr(Apc, "downloads", lambda _: (download,))
        server.breaks = [len(archive) // 2]
        assert_error(run("preview", "apc"), "prepare apc")
        done = run("prepare", "apc")
        assert done.status == 1
        last = done.err.splitlines()[-1]
        assert last.startswith("error: cannot read image") and "frame-000001" in last
        assert row(run("list"), "apc")[0].endswith("files found")
        done = run("prepare", "apc", "--skip_corrupt")
    assert len(server.seen) == 2
    assert download.url in (tmp_path / "downloads" / "checksums.tsv").read_text()
    assert done.status == 0, done.err
    lines = done.out.splitlines()
    assert " is ready: " in lines[0]
    assert "2 damaged records were left out, the first of them:" in lines[2]
    assert "frame-000001" in lines[3] and "frame-000001" in lines[4]
    assert row(run("list"), "apc")[1][0].endswith("2 damaged records left out")
    again = run("prepare", "apc")
    assert "is already prepared" in again.out and "2 damaged records" in again.out
    output = tmp_path / "sheet.png"
    assert run("preview", "apc", f"--output={output}").status == 0
    assert Image.open(output).width > 200


def test_unpacked_files_that_were_deleted(run, tmp_path, monkeypatch, archive):
    folder = tmp_path / "downloads" / "apc"
    folder.mkdir(parents=True)
    (folder / "training.zip").write_bytes(archive)
    monkeypatch.setattr(
        Apc, "downloads", lambda _: (Download(url="http://x/training.zip", unpack=True),)
    )
    assert run("prepare", "apc", "--skip_corrupt").status == 0
    shutil.rmtree(folder / "training" / "shelf")
    shutil.rmtree(tmp_path / "apc")
    again = f"to unpack training.zip again, delete {folder / 'training'}"
    assert_error(run("prepare", "apc"), again)
    (folder / "training").rmdir()
    assert run("prepare", "apc", "--skip_corrupt").status == 0


def test_archive_that_is_not_unpacked(run, tmp_path, monkeypatch, archive):
    folder = tmp_path / "downloads" / "apc"
    folder.mkdir(parents=True)
    (folder / "more.zip").write_bytes(archive)  # Beside what is there already.
    with zipfile.ZipFile(folder / "more.zip") as content:
        content.extractall(folder)
    downloads = (Download(url="http://x/more.zip", unpack=True),)
    monkeypatch.setattr(Apc, "downloads", lambda _: downloads)
    assert run("prepare", "apc", "--skip_corrupt").status == 0
    assert (folder / "more" / "training").is_dir()


# ---- preview


@pytest.fixture
def see(run, tmp_path):
    """Runs preview and returns the picture."""

    def see(*arguments) -> tuple[np.ndarray, Result]:
        output = tmp_path / "sheets" / "sheet.png"
        done = run("preview", *arguments, f"--output={output}")
        assert done.status == 0, done.err
        return np.asarray(Image.open(output)), done

    return see


def has(sheet: np.ndarray, tile: np.ndarray, left: int, top: int) -> bool:
    return np.array_equal(sheet[top : top + len(tile), left : left + len(tile)], tile)


def test_preview_without_preparing(see, tmp_path):
    sheet, done = see(TINY[0], "--num_images=7", "--split=test")
    assert "7 images of tetrominoes_synthetic/default/1.1.0, test" in done.out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sheets"]  # Nothing was prepared.
    builder = tetrominoes.Builder(data_dir=tmp_path)
    block = builder.block("test", 0)
    top = contact_sheet._MARGIN + contact_sheet._TITLE_HEIGHT
    image = block["image"][0].repeat(3, 0).repeat(3, 1)
    labels = palette.label_map(block["masks"][0]).repeat(3, 0).repeat(3, 1)
    assert has(sheet, image, contact_sheet._MARGIN, top)
    assert has(sheet, labels, contact_sheet._MARGIN + len(image) + contact_sheet._TILE_GAP, top)
    # Below them a swatch of each object's label colour, and of its own colour.
    caption = sheet[top + len(image) :, : contact_sheet._MARGIN + 2 * len(image)]
    wanted = [*palette.mask_colors(3), *(block["factors"]["color"][0])]
    for color in wanted:
        assert (caption == color).all(-1).sum() >= 49


def test_preview_of_what_is_prepared(prepared, tmp_path, monkeypatch):
    monkeypatch.setattr(tetrominoes.Builder, "block", None)
    output = tmp_path / "sheet.png"
    done = command(
        "data",
        *("preview", *TINY, "--split=test", f"--output={output}", f"--data_dir={prepared[0]}"),
    )
    assert done.out == (
        f"wrote {output}: 8 images of tetrominoes_synthetic/default_n64_8_8/1.1.0, test\n"
    )


@pytest.mark.parametrize(
    "arguments", [["multi_dsprites"], ["multi_dsprites_deepmind_synthetic", "--variant=binarized"]]
)
def test_preview_of_sprites(see, arguments):
    sheet, done = see(*arguments, "--num_examples=20,2,3", "--num_images=30")
    assert done.out.startswith("wrote ") and ": 20 images of multi_dsprites" in done.out
    assert sheet.shape[1] <= 1400


def record(side: int, factors: dict, **more) -> dict:
    image = np.arange(side * side * 3, dtype=np.uint8).reshape(side, side, 3)
    return {"image": image, "num_objects": np.int32(2), "factors": factors, **more}


def test_sheet_of_masks_of_another_side():
    masks = np.kron(np.array([[0, 1], [2, 0]], np.uint8), np.ones((96, 96), np.uint8))
    one = record(128, {}, masks=masks, background_parts=np.uint8(3) * (masks == 0))
    sheet = np.asarray(contact_sheet.contact_sheet([one], "title", {}))
    top = contact_sheet._MARGIN + contact_sheet._TITLE_HEIGHT
    small = np.kron(np.array([[0, 1], [2, 0]], np.uint8), np.ones((64, 64), np.uint8))
    left = contact_sheet._MARGIN + 128 + contact_sheet._TILE_GAP
    assert has(sheet, palette.label_map(small), left, top)
    parts = palette.label_map(np.uint8(3) * (small == 0))
    assert has(sheet, parts, left + 128 + contact_sheet._TILE_GAP, top)


def test_sheet_without_masks():
    camera = np.linspace(-2, 40, 5, dtype=np.float32)
    one = record(64, {"camera": camera, "name": b"a long name " * 30})
    factors = {"camera": base.scene_factor("number", np.float32, 5)}
    factors["name"] = base.Factor(tfds.features.Text(), "scene", "class")
    sheet = np.asarray(contact_sheet.contact_sheet([one] * 9, "title", factors))
    assert sheet.shape[1] <= 1400
    right = contact_sheet._MARGIN + 128
    assert (
        sheet[contact_sheet._MARGIN + contact_sheet._TITLE_HEIGHT : 100, right : right + 60] == 255
    ).all()


def test_factors_in_the_table():
    number = base.object_factor("number", 3, np.float32)
    code = base.object_factor("class", 3, np.int32)
    factors = {"sky_color": base.scene_factor("number", np.uint8, 3), "sprite": code, "x": number}
    factors |= {"color": code, "lamp": base.scene_factor("number", np.float32, 3)}
    factors |= {"place": base.object_factor("number", 3, np.float32, 2)}
    factors |= {"colors": base.object_factor("class", 3, np.uint8, 3)}
    assert contact_sheet._in_table(factors) == ["color", "x", "sprite", "colors"]


def test_cells_of_the_table():
    hsv = base.object_factor("number", 3, np.float32, 3, space="hsv")
    code = base.object_factor("class", 3, np.int32, names=("", "box", "sphere"))
    number = base.object_factor("number", 3, np.float32)
    assert contact_sheet._cell(np.array([1 / 3, 1, 1]), "color", hsv) == (0, 255, 0)
    assert contact_sheet._cell(np.array([0, 0, 0.5]), "wall_color", hsv) == (128, 128, 128)
    rgb = base.object_factor("number", 3, np.float32, 3)
    assert contact_sheet._cell(np.array([1, 0.5, 0]), "color", rgb) == (255, 128, 0)
    assert contact_sheet._cell(np.int32(2), "shape", code) == "sphere"
    assert contact_sheet._cell(np.float32(-1.234), "x", number) == "-1.23"


@pytest.mark.parametrize("spec", DATASETS.values(), ids=DATASETS)
def test_declared_factors(spec, tmp_path):
    """Names have a place in the code of every class, and scenes are told apart by a factor that there is."""
    builder_class = importlib.import_module(spec.builder).Builder
    for name, factor in builder_class.FACTORS.items():
        assert factor.kind == "class" or not factor.names
        assert factor.space == "rgb" or factor.feature.shape[-1] == 3
        assert len(set(factor.names)) >= len(factor.names) - 2, name  # Codes that are not used.
    assert not spec.grouped or spec.grouped in builder_class.FACTORS


def test_columns_stand_below_their_heads():
    """Whatever the width of the texts, a cell begins where the swatch of its object does."""
    names = ("", "box", "a very long name")
    factors = {
        "shape": base.object_factor("class", 3, np.int32, names=names),
        "x": base.object_factor("number", 3, np.float32),
    }
    values = {"shape": np.array([2, 1, 2]), "x": np.array([-11.5, 0.25, -0.75], np.float32)}
    one = record(64, values, masks=np.zeros((64, 64), np.uint8)) | {"num_objects": 3}
    sheet = np.asarray(contact_sheet.contact_sheet([one], "title", factors))
    top = contact_sheet._MARGIN + contact_sheet._TITLE_HEIGHT + 128 + contact_sheet._CAPTION_GAP
    head = sheet[top : top + 14]
    lefts = [np.flatnonzero((head == color).all(-1).any(0))[0] for color in palette.mask_colors(3)]
    for row in (1, 2):
        line = sheet[top + 14 * row : top + 14 * (row + 1)].min((0, 2)) < 150
        for left, end in zip(lefts, [*lefts[1:], sheet.shape[1]], strict=True):
            start = np.flatnonzero(line[left - 2 : end])[0]
            assert start <= 4, (row, left)
            assert not line[left - 6 : left - 2].any()


def test_scenes_that_differ(monkeypatch, tmp_path):
    """A sheet of a dataset with several views of a scene has one of each."""
    views = [
        record(8, {"scene": np.int32(i // 4), "view": np.int32(i % 4)}, masks=np.zeros((8, 8), int))
        for i in range(20)
    ]
    monkeypatch.setattr(gqn.Builder, "generate", lambda *_: iter(views))
    drawn = []
    monkeypatch.setattr(
        contact_sheet,
        "contact_sheet",
        lambda records, *_: drawn.extend(records) or Image.new("RGB", (8, 8)),
    )
    arguments = ("gqn_synthetic", f"--data_dir={tmp_path}", f"--output={tmp_path / 'sheet.png'}")
    done = command("data", "preview", *arguments, "--num_images=3")
    assert "3 images of gqn_synthetic" in done.out, done.err
    assert [int(one["factors"]["scene"]) for one in drawn] == [0, 1, 2]


def test_preview_of_a_damaged_dataset(run, damaged):
    shard = next(damaged.glob("*-train.array_record*"))
    shard.write_bytes(shard.read_bytes()[:-40])
    assert_error(run("preview", *TINY), str(damaged), "is damaged: delete it and prepare it again")


@pytest.mark.parametrize("count", [0, 2])
def test_few_images(run, tmp_path, count):
    folder = tmp_path / "mine"
    folder.mkdir()
    for i in range(count):
        Image.new("RGB", (16, 16)).save(folder / f"{i}.png")
    done = run("prepare", "folder", f"--manual_dir={folder}")
    assert done.status == 1 and "Traceback" not in done.err
    last = done.err.splitlines()[-1]
    if count:
        assert last.startswith(f"error: {folder} has 2 images (")
    else:
        assert_error(
            done, f"there is no image (.bmp, .jpeg, .jpg, .png, .tif, .tiff, .webp) in {folder}"
        )


def test_broken_image_of_a_folder(run, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    for i in range(9):
        Image.new("RGB", (16, 16)).save(folder / f"{i}.png")
    (folder / "5.png").write_bytes(b"broken")
    done = run("prepare", "folder", f"--manual_dir={folder}")
    last = done.err.splitlines()[-1]
    assert last.startswith(f"error: cannot read image {folder / '5.png'}: ")
    assert last.endswith("`ocgm data prepare folder --skip_corrupt`")
    done = run("prepare", "folder", f"--manual_dir={folder}", "--skip_corrupt")
    assert "1 damaged records were left out" in done.out


def test_counts_in_words():
    assert inventory.counts_text({"train": 60_000, "test": 320}) == "train 60,000, test 320"
