"""GENESIS-V2 with the mask loss on ShapeStacks, 64x64, K = 9.

ocgm train --config=genesis_v2_shapestacks_mask_loss --workdir=DIR

GENESIS-V2 paper, table 2 (3 seeds): ARI-FG 0.81, mSC-FG 0.68; with --dynamic_slots ARI-FG 0.81, mSC-FG 0.67, 5.6 slots.
"""

from ocgm import experiment


def get_config():
    config = experiment.load_config("genesis_v2_shapestacks")
    config.model.mask_loss = True
    config.objective.initial_beta = 1e-10
    return config
