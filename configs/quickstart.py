"""GENESIS-V2, small, on Multi-dSprites at 32x32: the shipped checkpoint's recipe, cut to minutes.

make quickstart
"""

from ml_collections import ConfigDict

from configs import pretrained


def get_config() -> ConfigDict:
    config = pretrained.get_config()
    config.num_train_steps = 8_000
    config.optimizer.decay_steps = 8_000
    config.max_train_minutes = 9.5  # where the machine is slower than 2 laptop cores
    config.log_every_steps = 200
    config.evaluation.every_steps = 1_000
    config.checkpoint.every_steps = 1_000
    return config
