"""Slot Attention as EfficientMORL's authors re-implemented and trained it, by dataset.

python -m ocgm.main --config=configs/slot_attention_of_efficient_morl.py:clevr6 --workdir=DIR

EfficientMORL paper: ARI-FG 93.3 +- 11.1 on CLEVR6 at 96x96, 98.3 without the run that failed.
"""

from ml_collections import ConfigDict

from configs import common

_DATASETS = {
    "clevr6": "clevr_with_masks",
    "multi_dsprites": "multi_dsprites_deepmind",
    "tetrominoes": "tetrominoes",
}
SPECS = ("|".join(_DATASETS),)


def get_config(spec: str = "clevr6") -> ConfigDict:
    (dataset,) = common.split_spec(spec, SPECS)
    return common.slot_attention_of_efficient_morl(_DATASETS[dataset])
