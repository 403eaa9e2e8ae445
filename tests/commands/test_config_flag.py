"""--config.FIELD=VALUE: fields that do not exist, and a change of the dataset."""

import json

import pytest
from helpers import command

from ocgm.experiment import change_dataset, default_config


def described(*arguments: str):
    """Return the config that `ocgm describe` prints, and its first lines."""
    done = command("describe", *arguments)
    assert done.status == 0, done.err
    before, config = done.out.split("config:\n")
    return json.loads(config), before


@pytest.mark.parametrize(
    "flag,message",
    [
        ("--config.model.nun_slots=3", "config.model has no field 'nun_slots'; did you mean num_slots?"),
        ("--config.batch_sze=3", "config has no field 'batch_sze'; did you mean batch_size?"),
        ("--noconfig.model.rmat", "config.model has no field 'rmat'"),
        ("--config.xyzzy", "config has no field 'xyzzy'."),
        ("--config.batch_size.x=3", "config.batch_size is 32 and has no fields."),
        ("--config.data.name.x=3", "config.data.name is 'multi_dsprites' and has no fields."),
        ("--config.batch_size=abc", "--config.batch_size=abc: invalid literal for int()"),
        ("--config.data=3", "--config.data=3: Failed to parse '3' as a ConfigDict"),
        ("--config.data.name=objects_rom", "unknown dataset 'objects_rom'; known are"),
        ("--confg.batch_size=3", "there is no flag --confg.batch_size; did you mean config?"),
        ("--workdr=runs", "there is no flag --workdr"),
        ("--flagfile=/nowhere", "Unable to open flagfile"),
    ],
)  # fmt: skip
def test_mistakes(flag, message):
    done = command("describe", "--config=genesis_v2_multi_dsprites", flag)
    assert done.status == 1
    assert message in done.err, done.err
    assert len(done.err.splitlines()) == 1 and "\\" not in done.err and '"' not in done.err


def test_variant_and_protocol_follow_the_dataset():
    """As in the documentation: Slot Attention's configs name variants of other datasets."""
    config, before = described(
        "--config=slot_attention_multi_dsprites", "--config.data.name=objects_room_synthetic"
    )
    assert (config["data"]["variant"], config["data"]["protocol"]) == ("", "")
    assert before.startswith(
        "config.data.variant: the default of objects_room_synthetic, since 'colored_on_grayscale'"
        " is one of multi_dsprites_deepmind\n"
    )


@pytest.mark.parametrize(
    "before,after,given,variant,protocol",
    [
        ("clevr_with_masks", "tetrominoes", (), "", ""),
        ("clevr_with_masks", "tetrominoes", ("data.protocol",), "", "slot_attention"),
        ("clevr_with_masks", "tetrominoes", ("data.variant", "data.name"), "clevr6", ""),
        ("clevr_with_masks", "clevr_with_masks_synthetic", (), "clevr6", "slot_attention"),
        ("clevr_with_masks_synthetic", "clevr_with_masks", (), "clevr6", "slot_attention"),
        ("clevr_with_masks", "clevr_with_masks", (), "clevr6", "slot_attention"),
        ("tetrominoes", "tetrominoes_synthetic", (), "", ""),
    ],
)
def test_change_of_the_dataset(before, after, given, variant, protocol):
    config = default_config("slot_attention", before)
    config.data.update(variant="clevr6", protocol="slot_attention", name=after)
    change_dataset(config, before, given)
    assert (config.data.variant, config.data.protocol) == (variant, protocol)


def test_fields_without_a_config():
    done = command("describe", "--config.batch_size=3")
    assert done.err == "error: --config.batch_size needs --config.\n"
    done = command("describe", "--config.batch_size=3", "--config=genesis_v2_multi_dsprites")
    assert done.status == 1 and "before a value for --config was specified" in done.err
