"""Reading datasets. Names are imported on first use, since TFDS and Grain take a second."""

import importlib
from typing import Any

_HOMES = {
    "DATASETS": "registry",
    "DatasetSpec": "registry",
    "get_spec": "registry",
    "data_dir": "storage",
    "open_builder": "storage",
    "prepare": "storage",
    "train_iterator": "pipeline",
    "eval_batches": "pipeline",
    "DevicePrefetcher": "prefetch",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
