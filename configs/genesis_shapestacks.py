"""GENESIS on ShapeStacks, 64x64, K = 9.

ocgm train --config=genesis_shapestacks --workdir=DIR

About 2 days on one Titan RTX with the authors' code.
GENESIS paper, section 4.2 (5 seeds, 300 test images): ARI-FG 0.73 +- 0.03, SC-FG 0.64 +- 0.08, mSC-FG 0.60 +- 0.09.
GENESIS paper, table 1, accuracy of probes on the latents: stability 64.0 %, height 80.3 %, view 99.3 %.
GENESIS-V2 paper, table 1 (3 seeds): ARI-FG 0.70, mSC-FG 0.67; table 3: FID 186.8 +- 18.0.
"""

from ocgm import experiment


def get_config():
    return experiment.default_config("genesis", "shapestacks")
