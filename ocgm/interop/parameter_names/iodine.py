"""IODINE in the authors' code (deepmind-research/iodine); TensorFlow's layouts are ours."""

from ocgm.interop.entries import Entry, same
from ocgm.models.iodine import IODINE
from ocgm.modules.iodine_networks import DECODER_LAYERS

_DECODER = "pixel_decoder/broadcast_conv/conv_net_2d"
_ENCODER = "encoder_net/cnn"
_NORMS = ("counterfactual", "dcomponents", "dmask", "dzp", "log_prob")


def entries(model: IODINE) -> list[Entry]:
    """Return the authors' TensorFlow names beside ours."""
    layers = {f"{_DECODER}/conv_2d_{i}": f"decoder/conv_{i}" for i in range(DECODER_LAYERS)}
    for i in range(model.encoder_layers):
        layers[f"{_ENCODER}/conv_net_2d/conv_2d_{i}"] = f"refiner/encoder/conv_{i}"
    for i in range(len(model.mlp_sizes)):
        layers[f"{_ENCODER}/mlp/linear_{i}"] = f"refiner/encoder/linear_{i}"
    layers["refinement_head/residual_head/linear"] = "refiner/head"

    names = {"model/iodine/initial_sample_distribution": "initial_posterior"}
    for theirs, ours in layers.items():
        names |= {f"{theirs}/w": f"{ours}/kernel", f"{theirs}/b": f"{ours}/bias"}
    if model.lstm_size:
        for theirs, ours in (("w_gates", "kernel"), ("b_gates", "bias")):
            names[f"recurrent_net/lstm/lstm/{theirs}"] = f"refiner/lstm/{ours}"
    for norm in _NORMS:
        theirs, ours = f"model/iodine/preprocess/layer_norm_{norm}", f"refiner/inputs/norm_{norm}"
        names |= {f"{theirs}/gamma": f"{ours}/scale", f"{theirs}/beta": f"{ours}/bias"}
    return [same(theirs, ours) for theirs, ours in names.items()]
