"""The small GENESIS-V2 that ships with the package: Multi-dSprites with unique colours at 32x32.

python -m ocgm.main --config=configs/pretrained.py --workdir=DIR
python -m ocgm.export --workdir=DIR --output=ocgm/pretrained/genesis_v2_multi_dsprites
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    config = common.genesis_v2("multi_dsprites")
    config.data.image_size = 32
    config.data.variant = "unique"
    config.model.feature_dim = 32
    config.objective = common.elbo(beta=0.01)
    config.batch_size = 8
    config.num_train_steps = 14_000
    config.optimizer = common.adam(learning_rate=1e-3)
    config.optimizer.warmup_steps = 200
    # Gradient norms vary tenfold from batch to batch; clipped, the error falls about twice as fast.
    config.optimizer.clip_norm = 30.0
    config.optimizer.decay = "cosine"
    config.optimizer.decay_steps = 14_000
    config.evaluation.every_steps = 1_000
    config.checkpoint.every_steps = 1_000
    return config
