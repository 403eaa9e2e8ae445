"""TFDS builder of ShapeStacks, from the published archives."""

import pathlib
import re
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from PIL import Image

from ocgm.datasets.builders import base, from_files, pictures
from ocgm.datasets.builders.downloads import Download
from ocgm.datasets.builders.from_files import SourceError
from ocgm.datasets.builders.progress import progress
from ocgm.datasets.builders.resizing import nearest_pixels, pick, pillow

NUM_CAMERAS = 16

_SERVER = "http://shapestacks-file.robots.ox.ac.uk/static/download/v1"

_SPLIT_FILES = {"train": "train.txt", "validation": "eval.txt", "test": "test.txt"}
_SCENARIO = re.compile(
    r"env_(?:blocks|ccs)-(?:easy|hard)-h=(?P<height>[2-6])"
    r"-vcom=(?P<com_violation>\d)-vpsf=(?P<surface_violation>\d)-v=\d+"
)
# Instance maps were rendered once for all colours: only the camera matches the images' names.
_IMAGE = re.compile(r"rgb-.*-cam_(\d+)-.*\.png")
_MAP = re.compile(r"iseg-.*-cam_(\d+)-.*\.(?:map|png)")

# Pixels of the published images, and of the square that the GENESIS papers crop at their centre.
_SIDE, _CROPPED = 224, 196
_OFFSET = (_SIDE - _CROPPED) // 2
_CROP = (_OFFSET, _OFFSET, _SIDE - _OFFSET, _SIDE - _OFFSET)
_FILTER = Image.Resampling.BILINEAR
# Value of a label map's first channel per label.
_LABEL_STEP = 32
_UNASSIGNED = 7

_CODES = ("scene", "viewpoint", "stable", "com_violation", "surface_violation")


class Builder(from_files.FileBuilder):
    """Towers of two to six blocks, stable or not, from 16 sides."""

    HOMEPAGE = "https://ogroth.github.io/shapestacks/"
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"Unpack shapestacks-meta.tar.gz, -rgb.tar.gz and -iseg.tar.gz of {_SERVER} into one "
        "folder, which then has splits/ and recordings/."
    )
    VARIANTS = {
        "default": "All towers, split at random.",
        "blocks_all": "Towers of cuboids.",
        "ccs_all": "Towers of cuboids, cylinders and spheres.",
    }
    IMAGE_SIZES = (64, 32, 128)
    FACTORS = {
        **dict.fromkeys(_CODES, base.scene_factor("class", np.int32)),
        "height": base.scene_factor("number", np.int32),
    }

    def downloads(self) -> tuple[Download, ...]:
        """See `FileBuilder`."""
        urls = (f"{_SERVER}/shapestacks-{part}.tar.gz" for part in ("meta", "rgb", "iseg"))
        return tuple(Download(url=url, md5_url=f"{url}.md5", unpack=True) for url in urls)

    def source_files(self, folder: pathlib.Path) -> list[pathlib.Path]:
        """Return the three lists of scenarios, then the folders with the scenarios' folders."""
        variant = self.builder_config.variant
        # An archive may have been unpacked into its own folder.
        tops = [folder, *sorted(folder.glob("*"))]
        lists = _folders(top / "splits" / variant for top in tops)
        if not lists:
            raise SourceError(
                f"no folder {folder / 'splits' / variant}: unpack shapestacks-meta.tar.gz into "
                f"{folder}"
            )
        files = [lists[0] / name for name in _SPLIT_FILES.values()]
        for file in files:
            if not file.is_file():
                raise SourceError(
                    f"no file {file}: unpack shapestacks-meta.tar.gz into {folder} again"
                )
        stores = _folders(top / name for top in tops for name in ("recordings", "iseg"))
        if not stores:
            raise SourceError(
                f"no folder {folder / 'recordings'}: unpack shapestacks-rgb.tar.gz and "
                f"shapestacks-iseg.tar.gz into {folder}"
            )
        return files + stores

    def splits(self, files: list[pathlib.Path]) -> dict[str, Iterator[base.Record]]:
        """See `FileBuilder`."""
        stores = files[len(_SPLIT_FILES) :]
        return {
            split: self._records(split, self._scenarios(file, stores), stores)
            for split, file in zip(_SPLIT_FILES, files, strict=False)
        }

    def _scenarios(self, file: pathlib.Path, stores: Sequence[pathlib.Path]) -> list[re.Match[str]]:
        """Read the names of a split's scenarios, and check that each has a folder."""
        there = {path.name for store in stores for path in store.iterdir()}
        try:
            names = file.read_text().split()
        except (OSError, UnicodeDecodeError) as error:
            raise SourceError(f"cannot read {file}: {error}") from error
        scenarios = []
        for number, name in enumerate(names, start=1):
            scenario = _SCENARIO.fullmatch(name)
            if scenario is None:
                raise SourceError(f"{file}, name {number}: '{name}' is not the name of a scenario")
            if name in there:
                scenarios.append(scenario)
                continue
            self.on_corrupt(
                SourceError(
                    f"{file}, name {number}: there is no folder {stores[0] / name}; "
                    "is shapestacks-rgb.tar.gz unpacked completely?"
                )
            )
        return scenarios

    def _records(
        self, split: str, scenarios: list[re.Match[str]], stores: Sequence[pathlib.Path]
    ) -> Iterator[base.Record]:
        total = NUM_CAMERAS * len(scenarios)
        label = f"{self.info.full_name} {split}"
        records = self._unnumbered(scenarios, stores)
        yield from progress(records, min(total, self.most(split) or total), label)

    def _unnumbered(
        self, scenarios: list[re.Match[str]], stores: Sequence[pathlib.Path]
    ) -> Iterator[base.Record]:
        for scene, scenario in enumerate(scenarios):
            factors = {name: int(value) for name, value in scenario.groupdict().items()}
            factors["stable"] = int(
                factors["com_violation"] == 0 and factors["surface_violation"] == 0
            )
            folders = [store / scenario.group() for store in stores]
            images, maps = _by_camera(folders, _IMAGE), dict(_by_camera(folders, _MAP))
            if not images:
                self.on_corrupt(SourceError(f"no rgb-*.png in {' or '.join(map(str, folders))}"))
            for camera, image in images:
                try:
                    pixels = self._read(image, maps.get(camera), factors["height"])
                except SourceError as error:
                    self.on_corrupt(error)
                    continue
                yield {
                    **pixels,
                    "num_objects": factors["height"],
                    "factors": {**factors, "scene": scene, "viewpoint": camera},
                }

    def _read(
        self, image: pathlib.Path, map_: pathlib.Path | None, height: int
    ) -> dict[str, np.ndarray]:
        if map_ is None:
            raise SourceError(
                f"no instance map (iseg-*.map) for {image}: unpack shapestacks-iseg.tar.gz so that "
                "the maps are beside the images, or in a folder iseg/ beside recordings/"
            )
        size = (_SIDE, _SIDE)
        picture = pictures.decode(image, str(image), size, "RGB")
        coded = np.asarray(pictures.decode(map_, str(map_), size, "RGBA").crop(_CROP))[..., 0]
        labels = coded // _LABEL_STEP
        labels[labels == _UNASSIGNED] = 0
        if labels.max() > height:
            raise SourceError(f"{map_} has label {labels.max()}, but the tower has {height} blocks")
        return {
            "image": pillow(np.asarray(picture.crop(_CROP)), self.image_size, _FILTER),
            "masks": pick(labels, nearest_pixels(_CROPPED, self.image_size)),
        }


def _folders(paths: Iterable[pathlib.Path]) -> list[pathlib.Path]:
    return [path for path in paths if path.is_dir()]


def _by_camera(
    folders: Sequence[pathlib.Path], pattern: re.Pattern[str]
) -> list[tuple[int, pathlib.Path]]:
    """Return the files whose names match, with the number of their camera, in order."""
    files = [file for folder in folders if folder.is_dir() for file in folder.iterdir()]
    matches = [(pattern.fullmatch(file.name), file) for file in files]
    return sorted((int(match[1]), file) for match, file in matches if match)
