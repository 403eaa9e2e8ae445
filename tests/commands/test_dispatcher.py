"""The command line: its commands, their help, and names that do not exist."""

import ast
import pathlib

import pytest
from helpers import ROOT, command, finish, start

from ocgm import __version__
from ocgm.commands import dispatcher

_NOT_COMMANDS = {"__init__", "cli", "config_flag", "dispatcher", "explanations", "flags"}


def test_every_command_has_a_module_and_a_line():
    modules = {path.stem for path in (ROOT / "ocgm" / "commands").glob("*.py")} - _NOT_COMMANDS
    assert modules == set(dispatcher.COMMANDS)


@pytest.mark.parametrize("name", sorted(set(dispatcher.COMMANDS) - {"data"}))
def test_first_line_of_the_docstring_is_the_summary(name):
    source = pathlib.Path(dispatcher.__file__).with_name(f"{name}.py")
    docstring = ast.get_docstring(ast.parse(source.read_text()))
    assert docstring.splitlines()[0] == dispatcher.COMMANDS[name]
    assert f"\nocgm {name}" in docstring.replace("\n    ", "\n")


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",), ("help",)])
def test_overview(capsys, arguments):
    dispatcher.main(["ocgm", *arguments])
    out = capsys.readouterr().out
    for name, line in dispatcher.COMMANDS.items():
        assert f"  {name:12s} {line}\n" in out
    assert max(map(len, out.splitlines())) <= 100


def test_version(capsys):
    dispatcher.main(["ocgm", "--version"])
    assert capsys.readouterr().out == f"ocgm {__version__}\n"


def test_help_of_a_command():
    done = command("evaluate", "--help")
    assert done.status == 0
    assert done.out.startswith("Evaluate a trained model on held-out images.\n\n    ocgm evaluate")
    for flag in ("--workdir:", "--step:", "--option:", "--variant:", "--[no]dynamic_slots:"):
        assert f"\n  {flag} " in done.out
    assert "--alsologtostderr" not in done.out  # Flags of absl are not those of the command.


def test_a_command_that_does_not_exist():
    done = command("evalute")
    assert (done.status, done.err) == (
        1,
        "error: there is no command 'evalute'; did you mean evaluate? `ocgm --help` lists the commands.\n",
    )
    done = command("--workdir=runs")
    assert done.status == 1 and "`ocgm --help` lists the commands" in done.err


def test_main_module_trains():
    done = finish(start("-m", "ocgm.main", "--help"))
    assert done.status == 0 and done.out.startswith("Train a model, or resume a run.")
