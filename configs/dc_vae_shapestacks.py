"""DC-VAE on ShapeStacks, 64x64.

ocgm train --config=dc_vae_shapestacks --workdir=DIR

GENESIS paper, table 1, accuracy of probes on the latents: stability 59.0 %, height 67.5 %, view 99.1 %.
"""

from ocgm import experiment


def get_config():
    return experiment.default_config("image_vae", "shapestacks", decoder="deconv")
