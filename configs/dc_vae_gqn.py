"""DC-VAE on GQN rooms, 64x64.

ocgm train --config=dc_vae_gqn --workdir=DIR

GENESIS paper, table 2: FID 82.5.
"""

from ocgm import experiment


def get_config():
    return experiment.default_config("image_vae", "gqn", decoder="deconv")
