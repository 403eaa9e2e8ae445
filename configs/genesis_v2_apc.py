"""GENESIS-V2 on APC, 128x128, K = 10.

ocgm train --config=genesis_v2_apc --workdir=DIR

About 8 days on one Titan RTX with the authors' code.
GENESIS-V2 paper, table 4 (1 seed, all pixels): ARI 0.55, mSC 0.67; table 5: FID 245.6.
"""

from ocgm import experiment


def get_config():
    return experiment.default_config("genesis_v2", "apc")
