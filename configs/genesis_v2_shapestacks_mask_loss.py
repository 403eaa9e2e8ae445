"""GENESIS-V2 with the mask loss on ShapeStacks, 64x64, K = 9.

python -m ocgm.main --config=configs/genesis_v2_shapestacks_mask_loss.py --workdir=DIR

GENESIS-V2 paper, table 2 (3 seeds): ARI-FG 0.81, mSC-FG 0.68; with --dynamic_slots 0.81, 0.67 and 5.6 slots.
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    config = common.genesis_v2("shapestacks")
    config.model.mask_loss = True
    config.objective.initial_beta = 1e-10
    return config
