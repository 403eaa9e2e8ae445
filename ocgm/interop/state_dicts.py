"""Read the parameters in the authors' files, by their official names.

Files are .pth, .pt or .ckpt of PyTorch (opened with `weights_only`, so that no code in them is run), .safetensors, .npz
with one array per parameter, and .index of a TensorFlow checkpoint of the published Slot Attention.
"""

import pathlib
from typing import Any

import numpy as np

from ocgm.errors import CheckpointError
from ocgm.interop import tf_checkpoint
from ocgm.interop.parameter_names.slot_attention import keras_names

# Keys under which training scripts keep the weights.
_NESTED = ("model_state_dict", "state_dict", "model")


def read(path: pathlib.Path) -> tuple[dict[str, np.ndarray], int]:
    """Read parameters by name, and the training iteration (0 where the file has none).

    Raises:
      CheckpointError: there is no such file, its format is unknown, a package is missing, or the file is damaged.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file.")
    readers = {".npz": _read_npz, ".safetensors": _read_safetensors, ".index": _read_tensorflow}
    reader = readers.get(path.suffix.lower(), _read_torch)
    try:
        content = reader(path)
    except ImportError as error:
        raise CheckpointError(
            f"{path}: reading it needs {error.name}; pip install {error.name}."
        ) from error
    except CheckpointError:
        raise
    except Exception as error:  # Each format raises errors of its own for a damaged file.
        raise CheckpointError(f"{path} cannot be read as a checkpoint ({error}).") from error
    step = int(content.get("iter_idx", content.get("step", 0)))
    for key in _NESTED:
        content = content.get(key, content)
    arrays = {name.removeprefix("module."): np.asarray(value) for name, value in content.items()}
    return {name: array for name, array in arrays.items() if array.dtype.kind == "f"}, step


def _read_npz(path: pathlib.Path) -> dict[str, Any]:
    with np.load(path) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _read_safetensors(path: pathlib.Path) -> dict[str, Any]:
    from safetensors.numpy import load_file

    return load_file(path)


def _read_tensorflow(path: pathlib.Path) -> dict[str, Any]:
    return keras_names(tf_checkpoint.read(path))


def _read_torch(path: pathlib.Path) -> dict[str, Any]:
    import torch

    return torch.load(path, map_location="cpu", weights_only=True)
