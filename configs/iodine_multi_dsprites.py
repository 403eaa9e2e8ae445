"""IODINE on Multi-dSprites, coloured on grey, 64x64, K = 6.

ocgm train --config=iodine_multi_dsprites --workdir=DIR

EfficientMORL paper, table 1, from the IODINE paper: ARI-FG 76.7. The published configuration for one device: batch 16.
"""

from ocgm import experiment, protocols


def get_config():
    config = experiment.default_config("iodine", "multi_dsprites_deepmind")
    config.data.variant = "colored_on_grayscale"
    config.model.update(width=32, kernel_size=5, encoder_layers=3, mlp_sizes=(128,))
    config.model.update(latent_size=16, lstm_size=128, coordinates="cosine")
    protocols.iodine(config, batch_size=16, learning_rate=1.06e-4)
    return config
