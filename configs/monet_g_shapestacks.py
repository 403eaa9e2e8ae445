"""MONet-G on ShapeStacks, 64x64, K = 9, trained with GECO.

ocgm train --config=monet_g_shapestacks --workdir=DIR

GENESIS paper, section 4.2 (5 seeds, 300 test images): ARI-FG 0.63 +- 0.07, SC-FG 0.52 +- 0.09, mSC-FG 0.49 +- 0.09.
GENESIS paper, table 1, accuracy of probes on the latents: stability 59.6 %, height 88.4 %, view 99.5 %.
GENESIS-V2 paper, table 1 (3 seeds): ARI-FG 0.70, mSC-FG 0.57; table 3: FID 197.8 +- 5.2.
"""

from ocgm import experiment


def get_config():
    return experiment.default_config("monet", "shapestacks")
