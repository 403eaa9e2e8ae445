"""BD-VAE on ShapeStacks, 64x64.

ocgm train --config=bd_vae_shapestacks --workdir=DIR

GENESIS paper, table 1, accuracy of probes on the latents: stability 60.1 %, height 78.6 %, view 99.7 %.
"""

from ocgm import experiment


def get_config():
    return experiment.default_config("image_vae", "shapestacks", decoder="broadcast")
