"""Errors of the system, of JAX and of config files: one message, no traceback."""

import errno
import os
import pathlib
import signal
import subprocess
import sys

import pytest
from helpers import ROOT, command, finish, start

from ocgm.commands import cli, dispatcher
from ocgm.errors import UserError


def outcome(capsys, function, *arguments) -> tuple[int, str]:
    """Return the exit status of a guarded call, and what it printed on stderr."""
    with pytest.raises(SystemExit) as exit_:
        cli.guarded(function, *arguments)
    return exit_.value.code, capsys.readouterr().err


def raise_(error: BaseException):
    raise error


_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
_NAMES = (errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOENT, errno.ELOOP)
_OTHERS = (
    errno.EIO,
    errno.ESTALE,
    errno.EACCES,
    errno.EPERM,
    errno.EMFILE,
    errno.EBUSY,
    errno.ETIMEDOUT,
)


@pytest.mark.parametrize("number", [*_WRITING, *_NAMES, *_OTHERS])
def test_error_of_the_system(capsys, number):
    cannot_write = number in _WRITING
    status, err = outcome(capsys, raise_, OSError(number, os.strerror(number), "runs/a"))
    assert status == 1
    assert err.startswith(f"error: runs/a: {os.strerror(number)}") and err.endswith(".\n")
    assert len(err.splitlines()) == 1
    status, err = outcome(capsys, raise_, OSError(number, os.strerror(number)))
    assert err.startswith(f"error: {'cannot write: ' * cannot_write}{os.strerror(number)}")


@pytest.mark.parametrize(
    "error,part",
    [
        (OSError("cannot identify\nimage file"), "error: cannot identify image file"),
        (
            FileNotFoundError(errno.ENOENT, "No such file or directory", b"f\xc3\xa9"),
            "error: f\xe9: No such",
        ),
        (RuntimeError("Could not determine home directory."), "; set HOME"),
        (RuntimeError("Unable to initialize backend 'tpu': no."), "; correct JAX_PLATFORMS"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory"), "; the device has too little memory"),
        (
            MemoryError("Unable to allocate 9 GiB"),
            "error: out of memory (Unable to allocate 9 GiB)",
        ),
        (UserError("what was wrong"), "error: what was wrong"),
    ],
)
def test_other_errors(capsys, error, part):
    status, err = outcome(capsys, raise_, error)
    assert status == 1 and part in err and len(err.splitlines()) == 1


def test_a_bug_keeps_its_traceback():
    for error in (RuntimeError("of another kind"), ZeroDivisionError()):
        with pytest.raises(type(error)):
            cli.guarded(raise_, error)


def test_interrupted_and_closed_pipe(capsys):
    assert outcome(capsys, raise_, KeyboardInterrupt()) == (130, "error: interrupted.\n")
    assert outcome(capsys, raise_, BrokenPipeError()) == (141, "")


def test_interrupted_while_a_library_swallows_it():
    code = (
        "import os, signal, time; from ocgm.commands import cli\n"
        "with cli.importing():\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGINT); time.sleep(9)\n"
        "    except BaseException:\n"
        "        print('swallowed')\n"
    )
    done = finish(start("-c", code))
    assert (done.status, done.out, done.err) == (130, "", "error: interrupted.\n")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_names_that_the_system_refuses(tmp_path):
    """Real errors, through the commands."""
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    for name, reason in (
        ("n" * 5000, "File name too long; give a shorter name."),
        ("file/x", "there is no such file."),
        ("loop/x", "there is no such file."),
    ):
        done = command("describe", f"--config={tmp_path / name}.py")
        assert done.status == 1 and done.err.endswith(f": {reason}\n"), done.err
        assert len(done.err) < 400 and "Traceback" not in done.err


def test_output_that_is_in_the_way(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for path, reason in (
        (tmp_path / "file" / "x.json", "File exists"),
        (tmp_path / "folder", "Is a directory"),
    ):
        status, err = outcome(capsys, cli.save_json, path, {})
        assert status == 1 and reason in err and "; " in err


def test_no_home(monkeypatch):
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", lambda uid: raise_(KeyError(uid)))
    done = command("describe", "--config=~/mine.py")
    assert done.status == 1
    assert done.err == (
        "error: Could not determine home directory; set HOME, or give paths without ~ and set"
        " OCGM_DATA_DIR.\n"
    )


@pytest.mark.parametrize("target", ["closed pipe", "/dev/full"])
def test_output_that_cannot_be_written(target):
    """As in `ocgm --help | true`, with a buffer that Python flushes only at exit."""
    code = [sys.executable, "-m", "ocgm", "--help"]
    if target == "closed pipe":
        reading, writing = os.pipe()
        os.close(reading)
    else:
        writing = os.open(target, os.O_WRONLY)
    done = subprocess.run(code, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    if target == "closed pipe":
        assert (done.returncode, done.stderr) == (141, "")
    else:
        assert done.returncode == 1
        assert done.stderr.startswith("error: cannot write: No space left on device; free")


@pytest.mark.parametrize(
    "variable,value,message",
    [
        (
            "JAX_PLATFORMS",
            "cuda",
            "JAX does not find the platform JAX_PLATFORMS=cuda; correct JAX_PL",
        ),
        (
            "JAX_NUM_CPU_DEVICES",
            "two",
            'Invalid value "two" for JAX flag jax_num_cpu_devices; corr',
        ),
    ],
)
def test_an_environment_that_jax_does_not_take(variable, value, message):
    code = f"import os; os.environ[{variable!r}] = {value!r}; import ocgm.__main__ as m; m.main()"
    done = finish(start("-c", code, "describe", "--config=genesis_v2_multi_dsprites"))
    assert done.status == 1, done.err
    assert "Traceback" not in done.err
    assert done.err.strip().splitlines()[-1].startswith(f"error: {message}"), done.err


# ---- config files


@pytest.mark.parametrize(
    "text,message",
    [
        ("def get_config(:\n", "line 1: SyntaxError: "),
        ("\nimport nothing_of_this_name\n", "line 2: ModuleNotFoundError: No module named"),
        ("def get_config():\n    return 1 / 0\n", "line 2: ZeroDivisionError: division by zero"),
        ("def get_config():\n    return\n", "get_config() returned None, not a ConfigDict"),
        ("x = 1\n", "does not define get_config()"),
        ("\0", "SyntaxError: source code string cannot contain null bytes"),
        (
            "from ml_collections import ConfigDict\n\ndef get_config():\n    return ConfigDict()\n",
            "the config lacks batch_size, checkpoint,",
        ),
        (
            "from ocgm import experiment\n\ndef get_config():\n"
            "    config = experiment.load_config('quickstart')\n"
            "    config.unlock()\n    del config.evaluation.num_images, config.mesh\n"
            "    return config\n",
            "the config lacks mesh, evaluation.num_images; start from",
        ),
        (
            "from ocgm import experiment\n\ndef get_config():\n"
            "    config = experiment.load_config('quickstart')\n"
            "    config.batchsize = 3\n    return config\n",
            "line 5: AttributeError: ",
        ),
    ],
)
def test_config_file_with_an_error(tmp_path, text, message):
    path = tmp_path / "mine.py"
    path.write_text(text)
    done = command("describe", f"--config={path}")
    assert done.status == 1 and "Traceback" not in done.err
    assert done.err.startswith("error: ") and message in done.err and str(path) in done.err
    assert len(done.err.splitlines()) == 1


def test_config_that_is_a_folder(tmp_path):
    (tmp_path / "folder.py").mkdir()
    for path in (tmp_path, tmp_path / "folder.py"):
        done = command("describe", f"--config={path}")
        assert done.err == f"error: --config={path} is a directory; give a file FILE.py.\n"


# ---- help


@pytest.mark.parametrize("flag", ["--help", "-help", "-h", "--helpfull", "--helpshort"])
def test_help_exits_with_0(flag):
    done = command("evaluate", flag)
    assert done.status == 0 and done.out.startswith("Evaluate a trained model")


def test_help_of_a_command_by_its_name(capsys):
    dispatcher.main(["ocgm", "help", "list_models"])
    assert capsys.readouterr().out.startswith("List the trained models that ship with ocgm.")


def test_help_shows_the_fields_of_the_config():
    done = command("describe", "--help")
    assert done.status == 0
    assert "fields of --config=genesis_v2_multi_dsprites and their values:\n" in done.out
    for line in (
        "batch_size=32",
        "model.num_slots=5",
        "evaluation.model_options={}",
        "curriculum=()",
    ):
        assert f"\n  --config.{line}\n" in done.out
    assert "\n\n" not in done.out.split("their values:")[1]
    done = command("describe", "--config=slot_attention_clevr6", "--help")
    assert "\n  --config.data.variant=clevr6\n" in done.out
    done = command("describe", "--config=slot_attention_clevr7", "--help")
    assert done.status == 1 and "did you mean slot_attention_clevr6" in done.err


def test_help_of_a_program_outside_of_the_package():
    done = finish(start("-m", "experiments.benchmark_readers", "--help"))
    assert done.status == 0, done.err
    source = pathlib.Path(ROOT, "experiments", "benchmark_readers.py").read_text()
    assert done.out.startswith(source[3:40]) and "\n  --datasets:" in done.out
