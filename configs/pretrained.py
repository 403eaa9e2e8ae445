"""The small GENESIS-V2 that ships with the package: Multi-dSprites' vivid variant at 16x16.

python -m ocgm.main --config=configs/pretrained.py --workdir=DIR
python -m ocgm.export --workdir=DIR --output=ocgm/pretrained/genesis_v2_multi_dsprites
"""

from ml_collections import ConfigDict

from configs import quickstart


def get_config() -> ConfigDict:
    config = quickstart.get_config()
    config.max_train_minutes = 0.0
    config.num_train_steps = 8_000
    config.optimizer.update(decay_begin=5_500, decay_steps=8_000)
    config.evaluation.every_steps = 1_000
    return config
