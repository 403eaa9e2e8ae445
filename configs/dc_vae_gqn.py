"""DC-VAE on GQN rooms, 64x64.

python -m ocgm.main --config=configs/dc_vae_gqn.py --workdir=DIR

GENESIS paper: FID 82.5.
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    return common.image_vae("gqn", "deconv")
