"""Models by size of the component latents: "Reconstruction Bottlenecks in Object-Centric Generative Models" (2020).

python -m ocgm.main --config=configs/reconstruction_bottlenecks.py:multi_dsprites,genesis,16 --workdir=DIR

What the paper reports is error per element, or the step at which its average first reached GECO's goal of 0.5655.
"""

from ml_collections import ConfigDict

from configs import common

_DATASETS = "multi_dsprites|shapestacks|objects_room"
SPECS = (
    f"{_DATASETS},genesis,1|4|16|64|256",
    f"{_DATASETS},genesis_symmetric,1|2|4|8|16",
    f"{_DATASETS},sbd_vae|dc_vae,1|2|4|8|16|32|64|128|256",
)


def get_config(spec: str = "multi_dsprites,genesis,16") -> ConfigDict:
    dataset, model, size = common.split_spec(spec, SPECS)
    if model.endswith("_vae"):
        decoder = {"sbd_vae": "broadcast", "dc_vae": "deconv"}[model]
        config = common.one_slot_vae(dataset, decoder)
        config.model.latent_size = int(size)
    else:
        config = common.genesis(dataset)
        config.model.symmetric = model == "genesis_symmetric"
        config.model.component_latent_size = int(size)
    return config
