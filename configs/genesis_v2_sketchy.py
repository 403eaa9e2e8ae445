"""GENESIS-V2 on Sketchy, 128x128, K = 10.

ocgm train --config=genesis_v2_sketchy --workdir=DIR

About 8 days on one Titan RTX with the authors' code.
GENESIS-V2 paper, table 5 (1 seed): FID 208.1.
"""

from ocgm import experiment


def get_config():
    return experiment.default_config("genesis_v2", "sketchy")
