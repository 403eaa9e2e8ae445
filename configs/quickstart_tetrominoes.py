"""Slot Attention, small, on synthetic Tetrominoes at 32x32: objects in minutes on two CPU cores.

python -m ocgm.main --config=configs/quickstart_tetrominoes.py --workdir=DIR
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    config = common.slot_attention("tetrominoes_synthetic")
    config.data.image_size = 32
    config.batch_size = 16
    # Features of a quarter of the pixels, and no hidden layer at full resolution.
    config.model.update(
        encoder_features=(32, 32, 32),
        encoder_strides=(2, 1, 1),
        feature_size=64,
        decoder="deconv",
        decoder_features=32,
        decoder_grid=8,
        decoder_output_stride=2,
        colour_offset=-1.0,
        # Iterations without a gradient are cheap, and more of them split fewer pieces between slots.
        iterations=6,
        implicit_gradient=True,
    )
    config.num_train_steps = 15_000
    config.optimizer.update(
        learning_rate=1e-3, warmup_steps=500, decay="cosine", decay_steps=15_000, clip_norm=1.0
    )
    config.log_every_steps = 500
    config.evaluation.every_steps = 1_000
    config.checkpoint.every_steps = 5_000
    return config
