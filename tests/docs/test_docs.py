"""README and docs: links, commands, flags, configs and names of files exist; Python examples run."""

import ast
import functools
import pathlib
import re
import shlex

import ml_collections
import pytest

import ocgm
from ocgm import experiment
from ocgm.commands import dispatcher

ROOT = pathlib.Path(__file__).parents[2]
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "experiments/*.md", "ocgm/**/*.md", "colabs/*.md")
    for page in ROOT.glob(pattern)
    if "_build" not in page.parts
)
_FENCE = re.compile(
    r"^(?P<fence>```+|:::+)(?P<kind>\S*)[^\n]*\n(?P<body>.*?)^(?P=fence)\s*$", re.M | re.S
)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
# What stands for a value of the reader's: FILE, DIR, DATASET, NAME_synthetic, ...
_PLACEHOLDER = re.compile(r"[A-Z]{2,}")
_NAMED_FILE = re.compile(r"`((?:ocgm|configs|experiments|tests|docs|colabs)/[\w./-]+)`")
# Put on the line before a block of code that tests do not run, with the reason.
_NOT_RUN = "<!-- not run by tests: "


def _name(page: pathlib.Path) -> str:
    return str(page.relative_to(ROOT))


def _blocks(kind: str) -> list[tuple[str, str]]:
    """Return (page:line, code) of all fenced blocks of a language, without those that are marked as not run."""
    blocks = []
    for page in PAGES:
        text = page.read_text()
        for match in _FENCE.finditer(text):
            before = text[: match.start()].rstrip().rpartition("\n")[2]
            if match["kind"] == kind and not before.startswith(_NOT_RUN):
                line = text[: match.start()].count("\n") + 1
                blocks.append((f"{_name(page)}:{line}", match["body"]))
    return blocks


def _without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", _FENCE.sub("", text))


def _anchors(page: pathlib.Path) -> set[str]:
    headings = re.findall(r"^#+ +(.+?)\s*$", _FENCE.sub("", page.read_text()), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_to_files_and_headings(page):
    for link in _LINK.findall(_without_code(page.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{_name(page)} links to {link}"
        assert not anchor or anchor in _anchors(target), f"{_name(page)} links to {link}"


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_files_that_are_named_exist(page):
    for path in _NAMED_FILE.findall(page.read_text()):
        if not _PLACEHOLDER.search(path) and "_build" not in path:
            assert (ROOT / path).exists(), f"{_name(page)} names {path}"


@pytest.mark.parametrize("code", [pytest.param(code, id=at) for at, code in _blocks("python")])
def test_python_examples_run(code):
    exec(compile(code, "example", "exec"), {"__name__": "example"})


# ---- commands


def _commands() -> list[tuple[str, list[str]]]:
    """Return (page:line, words) of all commands in blocks of shell code, without comments and variables."""
    commands = []
    for at, body in _blocks("sh") + _blocks("bash"):
        for line in body.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            while words and re.match(r"[A-Z_]+=", words[0]):
                words.pop(0)
            if words:
                commands.append((at, words))
    return commands


COMMANDS = _commands()


def _source(words: list[str]) -> pathlib.Path | None:
    """Return the module that a command line runs; None for other programs."""
    if words[0] == "ocgm":
        assert words[1] in dispatcher.COMMANDS, f"there is no command {words[1]}"
        return ROOT / "ocgm" / "commands" / f"{words[1]}.py"
    if words[1:2] == ["-m"] and words[2].startswith(("experiments.", "ocgm.")):
        return ROOT / f"{words[2].replace('.', '/')}.py"
    return None


def _defined(source: str) -> set[str]:
    return set(re.findall(r"DEFINE_\w+\(\s*\"(\w+)\"", source))


@functools.cache
def _shared_flags() -> dict[str, set[str]]:
    """Return the flags that each function and class of ocgm.commands.flags defines."""
    source = (ROOT / "ocgm/commands/flags.py").read_text()
    parts = {
        node.name: ast.get_source_segment(source, node)
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    called = {
        name: [name, *(other for other in parts if re.search(rf"\b{other}\(", part))]
        for name, part in parts.items()
    }
    return {name: set().union(*(_defined(parts[n]) for n in called[name])) for name in parts}


@functools.cache
def _flags(module: pathlib.Path) -> set[str]:
    source = module.read_text()
    shared = re.findall(r"\bflags\.(\w+)\(", source)
    config = {"config"} if "config_flag.Config(" in source else set()
    return config.union(_defined(source), *(_shared_flags().get(name, set()) for name in shared))


def test_commands_and_their_flags_exist():
    for at, words in COMMANDS:
        module = _source(words)
        if module is None:
            continue
        assert module.is_file(), f"{at}: there is no {module}"
        for word in words:
            flag = re.match(r"--(\w+)(?![\w.])", word)
            assert not flag or flag[1] in _flags(module), f"{at}: {word}"


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_flags_in_text_exist(page):
    flags = {
        flag for name in dispatcher.COMMANDS for flag in _flags(ROOT / f"ocgm/commands/{name}.py")
    }
    flags |= {flag for study in (ROOT / "experiments").glob("*.py") for flag in _flags(study)}
    fields = {field for name in experiment.config_names() for field in _flat(_config(name))}
    for flag in re.findall(r"`--([\w.]+)", _FENCE.sub("", page.read_text())):
        field = flag.removeprefix("config.")
        assert field in (flags if field == flag else fields), f"{_name(page)}: --{flag}"


def test_one_page_lists_all_commands_and_their_flags():
    page = (ROOT / "docs/commands.md").read_text()
    for name, summary in dispatcher.COMMANDS.items():
        assert re.search(rf"^\| `ocgm {name}` \| {re.escape(summary)} \|", page, re.M), name
        rows = re.findall(rf"^\| `{name}\b[^`]*` \| (.*) \|$", page, re.M)
        listed = set(re.findall(r"`--(\w+)`", " ".join(rows)))
        assert rows and listed == _flags(ROOT / f"ocgm/commands/{name}.py"), name


@functools.cache
def _config(name: str) -> ml_collections.ConfigDict:
    path = ROOT / name
    return ocgm.load_config(str(path) if path.is_file() else name)


def test_configs_and_their_fields_exist():
    for at, words in COMMANDS:
        names = [word.partition("=")[2] for word in words if word.startswith("--config=")]
        if not names or _PLACEHOLDER.search(names[0]):
            continue
        config = _config(names[0])
        for word in words:
            if word.startswith("--config."):
                field = word.removeprefix("--config.").partition("=")[0]
                assert field in config or field in _flat(config), f"{at}: {word}"


def _flat(config: ml_collections.ConfigDict, prefix: str = "") -> set[str]:
    fields = set()
    for name, value in config.items():
        is_group = isinstance(value, ml_collections.ConfigDict)
        fields |= _flat(value, f"{prefix}{name}.") if is_group else {prefix + name}
    return fields


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=_name)
def test_configs_in_tables_exist(page):
    tables = re.findall(r"^\| Config \|.*\n(?:\|.*\n)+", page.read_text(), re.M)
    cells = [row.split("|")[1] for table in tables for row in table.splitlines()[2:]]
    for name in re.findall(r"`([\w:,|]+)`", " ".join(cells)):
        file = name.partition(":")[0]
        assert (ROOT / "configs" / f"{file}.py").is_file(), f"{_name(page)} names the config {name}"
        if not _PLACEHOLDER.search(name):
            _config(name)


def test_make_targets_exist():
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M)
    for at, words in COMMANDS:
        if words[0] == "make":
            assert set(words[1:]) <= set(targets), f"{at}: {' '.join(words)}"


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150
    assert len((ROOT / "experiments/README.md").read_text().splitlines()) <= 150
