"""IODINE on Tetrominoes, 35x35, K = 4.

ocgm train --config=iodine_tetrominoes --workdir=DIR

EfficientMORL paper, table 1, from the IODINE paper: ARI-FG 99.2. The published configuration for one device: batch 128.
"""

from ocgm import experiment, protocols


def get_config():
    config = experiment.default_config("iodine", "tetrominoes")
    config.model.update(width=32, kernel_size=5, encoder_layers=3, mlp_sizes=(128,))
    config.model.update(latent_size=32, lstm_size=0, coordinates="cosine")
    protocols.iodine(config, batch_size=128, learning_rate=2.12e-4)
    return config
