"""EfficientMORL on textured, multi-coloured Multi-dSprites, 64x64, K = 6 (appendix B.1).

ocgm train --config=efficient_morl_multi_dsprites_textured --workdir=DIR

The paper shows decompositions and no figure. Its images were never released; the synthetic dataset is our own design.
"""

from ocgm import experiment


def get_config():
    config = experiment.load_config("efficient_morl_multi_dsprites")
    config.data.update(name="multi_dsprites_deepmind_synthetic", variant="textured")
    return config
