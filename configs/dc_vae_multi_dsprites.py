"""DC-VAE on Multi-dSprites, 64x64.

ocgm train --config=dc_vae_multi_dsprites --workdir=DIR

GENESIS paper, table 2: FID 100.5.
"""

from ocgm import experiment


def get_config():
    return experiment.default_config("image_vae", "multi_dsprites", decoder="deconv")
