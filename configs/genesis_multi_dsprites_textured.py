"""GENESIS on textured, multi-coloured Multi-dSprites, 64x64, K = 6 (EfficientMORL, appendix B.1).

ocgm train --config=genesis_multi_dsprites_textured --workdir=DIR

The paper shows decompositions and no figure. It trains with a Gaussian likelihood of standard deviation 0.1 and GECO at
a smaller update rate, whose goal and rate it does not state; this config has a fixed beta of 1 instead. The paper's
images were never released; the synthetic dataset is our own design.
"""

from ocgm import experiment
from ocgm.training import objectives


def get_config():
    config = experiment.default_config(
        "genesis",
        "multi_dsprites_deepmind_synthetic",
        likelihood="gaussian",
        component_sigma=0.1,
    )
    config.data.variant = "textured"
    config.objective = objectives.default_config("elbo", beta=1.0)
    return config
