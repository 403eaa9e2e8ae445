"""Imports go down only: docs/design.md draws the floors, these tests keep them."""

import ast
import pathlib

import pytest
from helpers import ROOT

# From the ground up. A module imports from the floors below its own and from its own package; on the ground floor,
# whose parts are single modules, also from its neighbours.
FLOORS = (
    {"errors", "files", "images", "losses", "processes", "run_dir", "sharding", "wire_format"},
    {"modules"},
    {"models"},
    {"interop"},
    {"datasets"},
    {"data"},
    {"plots"},
    {"evaluation"},
    {"training"},
    {"experiment"},
    {"protocols"},
    {"inference"},
    {"commands"},
    {"__init__", "__main__", "main"},
)
HEIGHTS = {name: height for height, floor in enumerate(FLOORS) for name in floor}
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "ocgm").rglob("*.py"))
}


def imported_names(path: pathlib.Path) -> set[str]:
    """Return the dotted names of all imports in a file, also of those inside functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def imported_modules(path: pathlib.Path) -> set[str]:
    """Return the modules of ocgm that a file imports."""
    modules = set()
    for name in imported_names(path):
        while name and name not in FILES:
            name = name.rpartition(".")[0]
        modules |= {name} if name else set()
    return modules


def part(module: str) -> str:
    """Return the part of the library that a module belongs to: "models" for "ocgm.models.base"."""
    return (module.split(".") + ["__init__"])[1]


def test_every_part_has_a_floor():
    assert {part(module) for module in FILES} <= HEIGHTS.keys()


def test_imports_go_down():
    upward = [
        f"{module} imports {target}"
        for module, path in FILES.items()
        for target in sorted(imported_modules(path) - {"ocgm"})  # The version may be read anywhere.
        if part(module) != part(target)
        if HEIGHTS[part(module)] <= HEIGHTS[part(target)] and HEIGHTS[part(target)] > 0
    ]
    assert not upward, "\n".join(upward)


def test_no_circles():
    arrows = {module: imported_modules(path) - {module} for module, path in FILES.items()}
    while arrows:
        free = [module for module, targets in arrows.items() if not targets & arrows.keys()]
        assert free, f"circle among {sorted(arrows)}"
        for module in free:
            del arrows[module]


@pytest.mark.parametrize("folder", ["configs", "experiments"])
def test_nothing_imports_tests(folder):
    own = {path.stem for path in (ROOT / "tests").rglob("*.py")} | {"tests"}
    for path in (ROOT / folder).glob("*.py"):
        roots = {name.partition(".")[0] for name in imported_names(path)}
        assert not roots & own, path


def test_configs_import_only_ocgm():
    for path in (ROOT / "configs").glob("*.py"):
        assert {name.partition(".")[0] for name in imported_names(path)} <= {"ocgm"}, path
