"""BD-VAE on Multi-dSprites, 64x64.

python -m ocgm.main --config=configs/bd_vae_multi_dsprites.py --workdir=DIR

GENESIS paper: FID 89.8.
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    return common.image_vae("multi_dsprites", "broadcast")
