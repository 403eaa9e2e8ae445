"""GENESIS-V2 on Sketchy, 128x128, K = 10.

python -m ocgm.main --config=configs/genesis_v2_sketchy.py --workdir=DIR

About 8 days on one Titan RTX with the authors' code.
GENESIS-V2 paper: FID 208.1 (1 seed).
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    return common.genesis_v2("sketchy")
