"""GENESIS-V2 on ShapeStacks, 64x64, K = 9.

ocgm train --config=genesis_v2_shapestacks --workdir=DIR

About 2 days on one Titan RTX with the authors' code.
GENESIS-V2 paper, table 1 (3 seeds): ARI-FG 0.81, mSC-FG 0.68; table 3: FID 112.7 +- 3.2.
"""

from ocgm import experiment


def get_config():
    return experiment.default_config("genesis_v2", "shapestacks")
