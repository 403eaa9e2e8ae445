"""Slot Attention as re-implemented and trained by EfficientMORL's authors, by dataset.

ocgm train --config=slot_attention_of_efficient_morl:clevr6 --workdir=DIR

EfficientMORL paper, table 1 (5 seeds): ARI-FG 93.3 +- 11.1 on CLEVR6 at 96x96, 98.3 without the run that failed. Batch
and clipping are those of the released code; the paper names a batch of 32 and clipping at 5 for all its models.
"""

from ocgm import experiment, protocols

SPECS = ("clevr6|multi_dsprites|tetrominoes",)


def get_config(spec: str = "clevr6"):
    (dataset,) = experiment.split_spec(spec, SPECS)
    config = experiment.load_config(f"slot_attention_{dataset}")
    config.seed = 1
    config.model.update(variant="efficient_morl", encoder_features=(64, 64, 64, 64))
    if dataset == "clevr6":
        config.data.update(protocol="efficient_morl", image_size=96)
    else:
        config.model.decoder = "small"
        config.data.variant = ""  # the first, as published
    if dataset == "tetrominoes":
        config.model.latent_size = 32
    protocols.slot_attention(config, decay_begin=10_000)
    return config
