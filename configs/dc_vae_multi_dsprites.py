"""DC-VAE on Multi-dSprites, 64x64.

python -m ocgm.main --config=configs/dc_vae_multi_dsprites.py --workdir=DIR

GENESIS paper: FID 100.5.
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    return common.image_vae("multi_dsprites", "deconv")
