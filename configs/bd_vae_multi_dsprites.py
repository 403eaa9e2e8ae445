"""BD-VAE on Multi-dSprites, 64x64.

ocgm train --config=bd_vae_multi_dsprites --workdir=DIR

GENESIS paper, table 2: FID 89.8.
"""

from ocgm import experiment


def get_config():
    return experiment.default_config("image_vae", "multi_dsprites", decoder="broadcast")
