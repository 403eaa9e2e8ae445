"""Object-centric generative models in JAX: the public interface.

Names are imported on first use: `import ocgm` alone imports neither JAX nor TensorFlow.

Trained models that ship with the package:

>>> import numpy as np
>>> import ocgm
>>> for card in ocgm.list_models():
...     print(card.name, card.dataset, card.image_size, card.steps)
genesis_v2/multi_dsprites multi_dsprites 16 8000
slot_attention/tetrominoes tetrominoes_synthetic 32 15000

A model takes images of any size with `resize=True`, and otherwise of its own size, uint8 or float in [0, 1]; it returns
`ocgm.Outputs`:

>>> model = ocgm.load("genesis_v2/multi_dsprites")
>>> images = np.random.default_rng(0).integers(0, 256, (2, 120, 90, 3), np.uint8)
>>> outputs = model(images, resize=True)
>>> outputs.masks.shape, outputs.components.shape, outputs.slots.shape
((2, 5, 16, 16, 1), (2, 5, 16, 16, 3), (2, 5, 16))
>>> isinstance(model, ocgm.TrainedModel), isinstance(outputs, ocgm.Outputs)
(True, True)
>>> model.sample(3).images.shape
(3, 16, 16, 3)

Training takes a config, a shipped one by name or a file, and the directory of the run; the same call resumes the run:

>>> import tempfile
>>> config = ocgm.load_config("bd_vae_multi_dsprites")
>>> config.data.image_size, config.data.num_examples = 32, (16, 16, 16)
>>> config.num_train_steps, config.batch_size = 2, 4
>>> config.evaluation.num_images = config.evaluation.batch_size = 16
>>> workdir = tempfile.mkdtemp()
>>> scores = ocgm.train(config, workdir)  # doctest: +ELLIPSIS
image_vae: 2,852,291 parameters on ... device(s) ...
...
>>> model = ocgm.load(workdir)
>>> scores = ocgm.evaluate(model, split="test", num_images=16, batch_size=8)
>>> -1 <= scores["ari_fg"] <= 1
True
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ocgm.experiment import load_config as load_config
    from ocgm.inference import ModelCard as ModelCard
    from ocgm.inference import TrainedModel as TrainedModel
    from ocgm.inference import evaluate as evaluate
    from ocgm.inference import list_models as list_models
    from ocgm.inference import load as load
    from ocgm.models.base import Outputs as Outputs
    from ocgm.training.loop import train as train

__version__ = "0.1.0"

_HOMES = {
    "ModelCard": "inference",
    "Outputs": "models.base",
    "TrainedModel": "inference",
    "evaluate": "inference",
    "list_models": "inference",
    "load": "inference",
    "load_config": "experiment",
    "train": "training.loop",
}

__all__ = [
    "ModelCard",
    "Outputs",
    "TrainedModel",
    "__version__",
    "evaluate",
    "list_models",
    "load",
    "load_config",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
