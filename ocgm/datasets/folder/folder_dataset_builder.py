"""TFDS builder of the user's own images."""

import dataclasses
import hashlib
import os
import pathlib
import re
from collections.abc import Iterator, Sequence

import tensorflow_datasets as tfds
from ml_collections import ConfigDict

from ocgm.datasets.builders import base, from_files, image_files, listing
from ocgm.datasets.builders.directories import source_dir
from ocgm.datasets.builders.from_files import SourceError
from ocgm.datasets.builders.progress import progress
from ocgm.datasets.folder import contents as contents_lib
from ocgm.datasets.folder.masks import load_mask
from ocgm.errors import ImageError, UserError

_SMALLEST, _LARGEST = 8, 1024
# Of the part of the dataset's directory that names the images; file systems allow 255.
_LONGEST_NAME = 100


@dataclasses.dataclass(eq=False)
class FolderConfig(base.SceneConfig):
    """Config of one folder.

    Attributes:
      has_masks: whether the folder has masks; ignored once the dataset is prepared.
    """

    has_masks: bool = False


class Builder(from_files.FileBuilder):
    """Images in a folder, with or without masks. A variant is the name given to a folder."""

    HOMEPAGE = "https://www.tensorflow.org/datasets"
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"Name a folder with at least three images ({', '.join(listing.SUFFIXES)})."
    )
    VARIANTS = {}
    PROTOCOLS = ("all_labels", "pascal_voc")
    IMAGE_SIZES = (64,)

    @classmethod
    def config_for(cls, data_config: ConfigDict) -> FolderConfig:
        """See `SceneBuilder`."""
        has_masks = contents_lib.has_masks(source_dir(data_config))
        return FolderConfig(**vars(super().config_for(data_config)), has_masks=has_masks)

    @classmethod
    def _variant(cls, data_config: ConfigDict) -> str:
        if data_config.variant:
            # '_' separates the variant from other settings in the name of the config.
            if not re.fullmatch(rf"[A-Za-z0-9-]{{1,{_LONGEST_NAME}}}", data_config.variant):
                raise UserError(
                    f"variant='{data_config.variant}', but the name of a folder of images may have "
                    f"only letters, digits and '-', at most {_LONGEST_NAME}"
                )
            return data_config.variant
        path = source_dir(data_config).resolve()
        name = re.sub(r"[^A-Za-z0-9]+", "-", path.name)[:_LONGEST_NAME].strip("-") or "pictures"
        return f"{name}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}"

    @classmethod
    def _stored_size(cls, data_config: ConfigDict) -> int:
        if not _SMALLEST <= data_config.image_size <= _LARGEST:
            raise UserError(
                f"image_size={data_config.image_size}, but it must be {_SMALLEST} to {_LARGEST} for a "
                "folder of images"
            )
        return data_config.image_size

    def _features(self) -> tfds.features.FeaturesDict:
        if (self.data_path / "features.json").exists():
            return tfds.features.FeaturesDict.from_config(self.data_path)
        return base.record_features(
            self.image_size,
            self.factors,
            masks=self.builder_config.has_masks,
            void=self._has_void,
        )

    @property
    def _has_void(self) -> bool:
        return self.protocol == "pascal_voc"

    def _factors(self) -> dict[str, base.Factor]:
        return {"file": base.Factor(tfds.features.Text(), "scene", "class")}

    def source_files(self, folder: pathlib.Path) -> list[pathlib.Path]:
        """Return the folder itself."""
        if not folder.is_dir():
            raise SourceError(f"there is no folder {folder}")
        if not listing.has_images(folder):
            raise SourceError(f"there is no image ({', '.join(listing.SUFFIXES)}) in {folder}")
        return [folder]

    def check_unchanged(self, folder: pathlib.Path) -> None:
        """See `FileBuilder`; a folder that no longer exists counts as unchanged."""
        before = self.info.metadata["source"]
        if folder.is_dir() and (now := contents_lib.scan(folder).fingerprint) != before:
            raise SourceError(
                f"{folder} has changed since {self.info.full_name} was prepared ({before}; now {now}): "
                f"delete {self.data_path} to prepare it again, or choose a name for the new images "
                "with --config.data.variant"
            )

    def splits(self, files: list[pathlib.Path]) -> dict[str, Iterator[base.Record]]:
        """See `FileBuilder`."""
        (folder,) = files
        contents = contents_lib.scan(folder)
        parts = contents_lib.split_images(folder, contents.images)
        listing.report(contents.found, folder, contents.num_ignored)
        self.info.metadata["source"] = contents.fingerprint
        return {split: self._records(split, folder, images) for split, images in parts.items()}

    def _records(
        self, split: str, folder: pathlib.Path, images: Sequence[str]
    ) -> Iterator[base.Record]:
        count = min(len(images), self.most(split) or len(images))
        label = f"{self.info.full_name} {split}"
        yield from progress(self._read_all(folder, images), count, label)

    def _read_all(self, top: pathlib.Path, images: Sequence[str]) -> Iterator[base.Record]:
        for image in images:
            try:
                record = self._record(top, image)
            except ImageError as error:
                self.on_corrupt(SourceError(str(error)))
                continue
            yield record

    def _record(self, top: pathlib.Path, image: str) -> base.Record:
        pixels, original = image_files.load_image(top / image, self.image_size)
        record = {
            "image": pixels,
            "num_objects": 0,
            # Bytes, as names of files may not be valid UTF-8.
            "factors": {"file": os.fsencode(image)},
        }
        if self.builder_config.has_masks:
            mask = contents_lib.mask_path(top, image)
            record["masks"], record["num_objects"] = load_mask(
                mask, original, self.image_size, self._has_void
            )
        return record
