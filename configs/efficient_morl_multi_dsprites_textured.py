"""EfficientMORL on textured, multi-coloured Multi-dSprites, 64x64, K = 6 (appendix B.1).

python -m ocgm.main --config=configs/efficient_morl_multi_dsprites_textured.py --workdir=DIR

The paper shows pictures only. Its images were never released; this dataset is our own design.
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    config = common.efficient_morl_multi_dsprites()
    config.data.update(name="multi_dsprites_deepmind_synthetic", variant="textured")
    return config
