"""GENESIS on textured, multi-coloured Multi-dSprites, 64x64, K = 6 (EfficientMORL, appendix B.1).

python -m ocgm.main --config=configs/genesis_multi_dsprites_textured.py --workdir=DIR

The paper has a Gaussian likelihood with standard deviation 0.1 and does not say more; GECO's usual goal is of another
standard deviation, so this is a plain ELBO. Its images were never released; this dataset is our own design.
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    config = common.genesis("multi_dsprites_deepmind_synthetic")
    config.data.variant = "textured"
    config.model.update(likelihood="gaussian", component_sigma=0.1)
    config.objective = common.elbo(beta=1.0)
    return config
