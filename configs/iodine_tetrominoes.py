"""IODINE on Tetrominoes, 35x35, K = 4.

python -m ocgm.main --config=configs/iodine_tetrominoes.py --workdir=DIR

ARI-FG 99.2, as EfficientMORL's paper quotes it. The published configuration for one device: batch 128.
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    config = common.iodine("tetrominoes")
    config.model.update(**common.SMALL_IODINE, latent_size=32, lstm_size=0)
    config.batch_size = 128
    config.optimizer.learning_rate = 2.12e-4
    return config
