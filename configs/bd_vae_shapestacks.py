"""BD-VAE on ShapeStacks, 64x64.

python -m ocgm.main --config=configs/bd_vae_shapestacks.py --workdir=DIR
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    return common.image_vae("shapestacks", "broadcast")
