"""Objects of synthetic APC: invented goods of a warehouse.

Their kinds and sizes resemble those of the challenge's 39 products; none is a copy. Lengths are in
metres; an object's frame has its origin at the centre of its bounding box, its front towards -y and
z up.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from ocgm.datasets.rendering import Material, axis_rotation, shapes


@dataclasses.dataclass(frozen=True)
class Part:
    """Solid of one material, placed in the object's frame."""

    shape: shapes.Shape
    material: Material
    position: Sequence[float] = (0.0, 0.0, 0.0)
    rotation: np.ndarray = dataclasses.field(default_factory=lambda: np.eye(3))


@dataclasses.dataclass(frozen=True)
class Product:
    """Object of several parts.

    Attributes:
      name: by which objects are sorted and numbered.
      size: edges of its bounding box.
      parts: its solids.
      poses: the poses in which it lies: 0 upright, 1 on its left side, 2 on its front.
    """

    name: str
    size: tuple[float, float, float]
    parts: tuple[Part, ...]
    poses: tuple[int, ...] = (0, 1, 2)


def _gloss(*color: float, texture: str = "plain", repeat: float = 1.0) -> Material:
    return Material(color, texture, (repeat, repeat), specular=0.15, shininess=25)


def _paper(*color: float) -> Material:
    return Material(color)


_TURN_ALONG_X = axis_rotation(1, 90)
_WHITE, _BLACK = (0.92, 0.92, 0.90), (0.10, 0.10, 0.11)


def _package(name: str, x: float, y: float, z: float, print_: str, *color: float) -> Product:
    """Create a box with the same print on all sides."""
    material = Material(
        color, print_, (x, z), texture_offset=(0.5, 0.5), specular=0.12, shininess=25
    )
    return Product(name, (x, y, z), (Part(shapes.box((x, y, z)), material),))


def _plain_box(name: str, x: float, y: float, z: float, lid: float, body, top) -> Product:
    """Create a box of one colour with a band of another along its upper edge."""
    low = Part(shapes.box((x, y, z - lid)), _gloss(*body), (0, 0, -lid / 2))
    high = Part(shapes.box((x, y, lid)), _gloss(*top), (0, 0, (z - lid) / 2))
    return Product(name, (x, y, z), (low, high))


def _book(name: str, width: float, height: float, thickness: float, print_: str, *color) -> Product:
    """Create a book with printed covers and pages visible on three sides."""
    cover = Material(
        color, print_, (width, height), texture_offset=(0.5, 0.5), specular=0.2, shininess=25
    )
    pages = _paper(0.85, 0.82, 0.72)
    block = shapes.box((width - 0.006, thickness - 0.006, height - 0.008))
    sheet = shapes.box((width, 0.003, height))
    parts = [Part(block, pages, (0.003, 0, 0))]
    parts += [Part(sheet, cover, (0, sign * (thickness - 0.003) / 2, 0)) for sign in (-1, 1)]
    spine = shapes.box((0.003, thickness, height))
    parts.append(Part(spine, _gloss(*color), ((0.003 - width) / 2, 0, 0)))
    return Product(name, (width, thickness, height), tuple(parts))


def _bottle(name: str, radius: float, height: float, cap: float, body, label, lid) -> Product:
    """Create a round bottle with a shoulder, a label around it and a cap."""
    barrel = height - cap
    return Product(
        name,
        (2 * radius, 2 * radius, height),
        (
            Part(shapes.dome(radius, barrel), _gloss(*body), (0, 0, -cap / 2)),
            Part(
                shapes.cylinder(1.01 * radius, 0.4 * barrel),
                _paper(*label),
                (0, 0, -cap / 2 - 0.12 * barrel),
            ),
            Part(shapes.cylinder(0.45 * radius, cap), _gloss(*lid), (0, 0, barrel / 2)),
        ),
    )


def _can(name: str, radius: float, height: float, body, rim) -> Product:
    """Create a can whose rims and ends are metal."""
    return Product(
        name,
        (2 * radius, 2 * radius, height),
        (
            Part(shapes.cylinder(radius, height), _gloss(*rim)),
            Part(shapes.cylinder(1.01 * radius, 0.88 * height), _gloss(*body)),
        ),
    )


def _rods(name: str, length: float, radius: float, colors: Sequence) -> Product:
    """Create rods of several colours side by side."""
    place = 2 * radius * (np.arange(len(colors)) - (len(colors) - 1) / 2)
    parts = tuple(
        Part(shapes.cylinder(radius, length), _gloss(*color), (0, y, 0), _TURN_ALONG_X)
        for y, color in zip(place, colors, strict=True)
    )
    return Product(name, (length, 2 * radius * len(colors), 2 * radius), parts, (0,))


def _dumbbell() -> Product:
    weight = shapes.cylinder(0.032, 0.045)
    parts = [
        Part(weight, _gloss(0.10, 0.18, 0.45), (side * 0.05, 0, 0), _TURN_ALONG_X)
        for side in (-1, 1)
    ]
    grip = Part(shapes.cylinder(0.013, 0.06), _gloss(*_BLACK), rotation=_TURN_ALONG_X)
    return Product("dumbbell", (0.145, 0.064, 0.064), (*parts, grip), (0, 1))


def _duck() -> Product:
    yellow = _gloss(0.95, 0.78, 0.08)
    return Product(
        "rubber_duck",
        (0.10, 0.07, 0.085),
        (
            Part(shapes.ellipsoid((0.045, 0.035, 0.028)), yellow, (0.005, 0, -0.0145)),
            Part(shapes.sphere(0.024), yellow, (-0.013, 0, 0.0185)),
            Part(
                shapes.ellipsoid((0.012, 0.010, 0.005)), _gloss(0.9, 0.35, 0.05), (-0.038, 0, 0.016)
            ),
        ),
        (0,),
    )


def _brush() -> Product:
    handle = Part(shapes.cylinder(0.009, 0.16), _gloss(*_WHITE), (0.03, 0, 0), _TURN_ALONG_X)
    head = Part(shapes.ellipsoid((0.035, 0.03, 0.024)), _paper(0.25, 0.45, 0.75), (-0.075, 0, 0))
    return Product("dish_brush", (0.22, 0.06, 0.048), (handle, head), (0,))


_UNSORTED = (
    _plain_box("tissue_box", 0.12, 0.12, 0.13, 0.02, (0.42, 0.66, 0.74), (0.30, 0.62, 0.70)),
    _book("picture_book", 0.15, 0.21, 0.014, "print_2", 0.55, 0.75, 0.78),
    _book("joke_book", 0.12, 0.19, 0.016, "print_1", 0.95, 0.90, 0.90),
    _package("crayon_box", 0.08, 0.035, 0.12, "print_4", 1.0, 1.0, 1.0),
    _package("biscuit_box", 0.15, 0.055, 0.20, "print_3", 0.95, 0.95, 1.0),
    _package("tea_box", 0.13, 0.07, 0.09, "print_2", 0.85, 1.0, 0.85),
    _package("bulb_box", 0.07, 0.07, 0.12, "print_4", 0.55, 0.80, 1.0),
    _package("toothpaste_box", 0.20, 0.04, 0.05, "print_1", 1.0, 1.0, 1.0),
    _plain_box("soap_bar", 0.10, 0.035, 0.065, 0.025, (0.93, 0.93, 0.90), (0.20, 0.50, 0.30)),
    _plain_box("shirt_pack", 0.19, 0.05, 0.15, 0.03, (0.85, 0.85, 0.88), (0.15, 0.25, 0.50)),
    _bottle("glue_bottle", 0.026, 0.14, 0.03, _WHITE, (0.85, 0.35, 0.15), (0.95, 0.45, 0.08)),
    _bottle("water_bottle", 0.033, 0.20, 0.02, (0.50, 0.65, 0.75), (0.20, 0.35, 0.70), _WHITE),
    _bottle("cleaner_bottle", 0.04, 0.19, 0.035, (0.15, 0.45, 0.25), (0.90, 0.85, 0.20), _BLACK),
    _can("coffee_can", 0.05, 0.14, (0.60, 0.12, 0.10), (0.70, 0.70, 0.72)),
    _can("soup_can", 0.034, 0.10, (0.90, 0.60, 0.12), (0.72, 0.72, 0.74)),
    _can("pencil_cup", 0.042, 0.10, (0.14, 0.14, 0.15), (0.24, 0.24, 0.25)),
    Product(
        "paper_roll", (0.11, 0.11, 0.20), (Part(shapes.cylinder(0.055, 0.20), _paper(*_WHITE)),)
    ),
    Product("tennis_ball", (0.066,) * 3, (Part(shapes.sphere(0.033), _paper(0.78, 0.88, 0.20)),)),
    Product(
        "football_toy",
        (0.13, 0.08, 0.08),
        (Part(shapes.ellipsoid((0.065, 0.04, 0.04)), _gloss(0.75, 0.35, 0.15)),),
        (0,),
    ),
    _rods(
        "craft_stems",
        0.24,
        0.012,
        [
            (0.62, 0.45, 0.70),
            (0.45, 0.62, 0.80),
            (0.12, 0.55, 0.25),
            (0.65, 0.30, 0.60),
            (0.8, 0.1, 0.12),
        ],
    ),
    _rods("pencil_pack", 0.18, 0.009, [(0.92, 0.70, 0.15)] * 5),
    _dumbbell(),
    _duck(),
    _brush(),
)

# In the order of their numbers.
PRODUCTS: tuple[Product, ...] = tuple(sorted(_UNSORTED, key=lambda product: product.name))
