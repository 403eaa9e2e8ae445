"""IODINE on Multi-dSprites, coloured on grey, 64x64, K = 6.

python -m ocgm.main --config=configs/iodine_multi_dsprites.py --workdir=DIR

ARI-FG 76.7, as EfficientMORL's paper quotes it. The published configuration for one device: batch 16.
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    config = common.iodine("multi_dsprites_deepmind")
    config.data.variant = "colored_on_grayscale"
    config.model.update(**common.SMALL_IODINE, latent_size=16, lstm_size=128)
    config.batch_size = 16
    config.optimizer.learning_rate = 1.06e-4
    return config
