"""List the trained models that ship with ocgm.

    ocgm list_models

All commands that take a trained model take its name as --workdir, and `ocgm.load` does.
"""

from ocgm import inference
from ocgm.commands import cli


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    for card in inference.list_models():
        dataset = f"{card.dataset} {card.variant}".rstrip()
        print(f"{card.name}: {dataset}, {card.image_size}x{card.image_size}, {card.steps:,} steps")
        print(f"  {card.description}")
        for name, value in card.scores.items():
            print(f"  {name:36s} {value:.4f}")
