"""EfficientMORL on Multi-dSprites, coloured on grey, 64x64, K = 6.

ocgm train --config=efficient_morl_multi_dsprites --workdir=DIR

EfficientMORL paper, table 1 (5 seeds): ARI-FG 91.2 +- 0.4. The number of processes, hence the batch of 4 images in
which refinement takes gradients, is not published for this dataset; it is that of CLEVR6.
"""

from ocgm import experiment, protocols


def get_config():
    config = experiment.default_config(
        "efficient_morl", "multi_dsprites_deepmind", likelihood="gaussian"
    )
    config.data.variant = "colored_on_grayscale"
    protocols.efficient_morl(config)
    return config
