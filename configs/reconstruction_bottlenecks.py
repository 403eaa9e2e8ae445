"""Models by size of the component latents: "Reconstruction Bottlenecks in Object-Centric Generative Models" (2020).

ocgm train --config=reconstruction_bottlenecks:multi_dsprites,genesis,16 --workdir=DIR

Tables 1 and 2 of the paper: the average error per pixel and channel after 500,000 steps, or the step at which it first
reaches GECO's goal of 0.5655. `python -m experiments.reconstruction_bottlenecks` trains sweeps and prints these tables.
"""

from ocgm import experiment

_DATASETS = "multi_dsprites|shapestacks|objects_room"
_DECODERS = {"sbd_vae": "broadcast", "dc_vae": "deconv"}
SPECS = (
    f"{_DATASETS},genesis,1|4|16|64|256",
    f"{_DATASETS},genesis_symmetric,1|2|4|8|16",
    f"{_DATASETS},sbd_vae|dc_vae,1|2|4|8|16|32|64|128|256",
)


def get_config(spec: str = "multi_dsprites,genesis,16"):
    dataset, model, size = experiment.split_spec(spec, SPECS)
    if model in _DECODERS:
        return experiment.default_config(
            "one_slot_vae", dataset, decoder=_DECODERS[model], latent_size=int(size)
        )
    symmetric = model == "genesis_symmetric"
    return experiment.default_config(
        "genesis", dataset, symmetric=symmetric, component_latent_size=int(size)
    )
