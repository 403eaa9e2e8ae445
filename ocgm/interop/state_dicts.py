"""Read the parameters in the authors' files, by their official names.

Files are .pth, .pt or .ckpt of PyTorch (opened with `weights_only`, so that no code in them is run), .safetensors, .npz
with one array per parameter, and .index of a TensorFlow checkpoint of the published Slot Attention.
"""

import contextlib
import pathlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from ocgm.errors import CheckpointError, one_line
from ocgm.files import unpacked_bytes
from ocgm.interop import tf_checkpoint
from ocgm.interop.parameter_names.slot_attention import keras_names

# Keys under which training scripts keep the weights.
_NESTED = ("model_state_dict", "state_dict", "model")
# What DataParallel, Lightning and torch.compile put in front of names, torch.compile also inside.
_WRAPPERS = re.compile(r"^(?:(?:module|model|_orig_mod)\.)+|(?<=\.)_orig_mod\.")
# Weights hardly shrink when they are compressed; files that unpack to more than this are hostile.
_LARGEST_RATIO, _ALWAYS_ALLOWED_BYTES = 20, 2**30


def read(path: pathlib.Path) -> tuple[dict[str, np.ndarray], int]:
    """Read parameters by name, and the training iteration.

    The iteration is 0 where the file has none, and, with a warning, where it is not a whole number.

    Raises:
      CheckpointError: there is no such file, its format is unknown, a package is missing, or the file is damaged or
        holds something else.
    """
    if not path.is_file():
        index = path.with_name(f"{path.name}.index")
        near = f"; did you mean {index}?" if index.is_file() else "."
        raise CheckpointError(f"{path}: {'not a file' if path.exists() else 'no such file'}{near}")
    readers = {".npz": _read_npz, ".safetensors": _read_safetensors, ".index": _read_tensorflow}
    reader = readers.get(path.suffix.lower(), _read_torch)
    try:
        _check_unpacked_size(path)
        content = reader(path)
        step = _step(content, path)
        return _arrays(_weights(content, path), path), step
    except ImportError as error:
        raise CheckpointError(
            f"{path}: reading it needs {error.name}; pip install {error.name}."
        ) from error
    except CheckpointError:
        raise
    except Exception as error:  # Each format raises errors of its own for a damaged file.
        text = one_line(error)[:300]
        raise CheckpointError(f"{path} cannot be read as a checkpoint ({text}).") from error


def _step(content: Any, path: pathlib.Path) -> int:
    """Return the training iteration of a file's content; 0, with a warning, for what is no whole number."""
    if not isinstance(content, Mapping):
        return 0
    found = content.get("iter_idx", content.get("step", 0))
    # Scalars of PyTorch and NumPy, and floats such as 1e5, are whole numbers too.
    with contextlib.suppress(TypeError, ValueError, OverflowError, RuntimeError):
        if (step := int(found)) == found and 0 <= step < 2**31:
            return step
    print(f"warning: {path}: the step {found!r} is not a whole number; importing step 0.")
    return 0


def _weights(content: Any, path: pathlib.Path) -> Mapping[str, Any]:
    """Return the weights by name in a file's content.

    Raises:
      CheckpointError: it holds something else.
    """
    for key in _NESTED:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"{path} holds a {type(content).__name__}, not a dict of parameters by name; in PyTorch,"
            " write it with torch.save(model.state_dict(), FILE)."
        )
    return content


def _arrays(weights: Mapping[str, Any], path: pathlib.Path) -> dict[str, np.ndarray]:
    """Return the floating-point arrays by official name, none of them narrower than float16.

    Raises:
      CheckpointError: two entries have one name without what wrappers put in front.
    """
    arrays: dict[str, np.ndarray] = {}
    for name, value in weights.items():
        if not isinstance(value, float | np.ndarray | np.generic):
            continue
        array = np.asarray(value)
        if array.dtype == np.dtype("V2"):  # NumPy's files forget that it was bfloat16.
            array = array.view(jnp.bfloat16)
        if not jnp.issubdtype(array.dtype, jnp.floating):
            continue
        name = _WRAPPERS.sub("", name)
        if name in arrays:
            raise CheckpointError(f"{path} holds {name} twice, with and without a prefix.")
        arrays[name] = array if array.dtype.kind == "f" else array.astype(np.float32)
    return arrays


def _check_unpacked_size(path: pathlib.Path) -> None:
    """Check an archive before it fills the memory.

    Raises:
      CheckpointError: it unpacks to far more than weights can.
    """
    unpacked = unpacked_bytes(path) or 0
    if unpacked > max(_ALWAYS_ALLOWED_BYTES, _LARGEST_RATIO * path.stat().st_size):
        raise CheckpointError(
            f"{path} has {path.stat().st_size:,} bytes and unpacks to {unpacked:,}, so it does not"
            " hold weights."
        )


def _read_npz(path: pathlib.Path) -> Any:
    content = np.load(path)
    if isinstance(content, np.ndarray):
        return content
    with content as arrays:
        return {name: arrays[name] for name in arrays.files}


def _read_safetensors(path: pathlib.Path) -> dict[str, Any]:
    from safetensors.numpy import load_file

    return load_file(path)


def _read_tensorflow(path: pathlib.Path) -> dict[str, Any]:
    return keras_names(tf_checkpoint.read(path))


def _read_torch(path: pathlib.Path) -> Any:
    import torch

    try:
        with _numpy_scalars_allowed(torch):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # Its text is a page long.
        if found := re.search(r"Unsupported (?:global: GLOBAL|class) ([\w.]+)", str(error)):
            raise CheckpointError(
                f"{path} holds a {found[1]}, a Python object that could run code, so it is not"
                " read; in PyTorch, write the weights alone: torch.save(model.state_dict(), FILE)."
            ) from error
        raise

    def to_numpy(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: to_numpy(part) for name, part in value.items()}
        if not isinstance(value, torch.Tensor):
            return value
        value = value.detach().to_dense() if value.is_sparse else value.detach()
        return (value.float() if value.dtype == torch.bfloat16 else value).numpy()

    return to_numpy(content)


@contextlib.contextmanager
def _numpy_scalars_allowed(torch: Any) -> Iterator[None]:
    """Let `torch.load` read scalars of NumPy, such as an average loss; their types are safe."""
    scalar: Any = np.float64(0).__reduce__()[0]
    dtypes = {type(np.dtype(code)) for code in "?bhilqBHILQefdg"}
    with torch.serialization.safe_globals(
        [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
        + [np.dtype, *dtypes]
    ):
        yield
