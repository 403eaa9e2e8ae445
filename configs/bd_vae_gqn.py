"""BD-VAE on GQN rooms, 64x64.

python -m ocgm.main --config=configs/bd_vae_gqn.py --workdir=DIR

GENESIS paper: FID 145.5.
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    return common.image_vae("gqn", "broadcast")
