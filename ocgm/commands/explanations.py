"""What a user can do about errors that are no mistakes of ocgm: of the system, of JAX, of the environment."""

import errno
import os
import sys

from absl import flags

from ocgm.errors import one_line

_FREE_SPACE = "free some space, or give a directory on another disk"
_PERMISSION = "give one that you have permission for"
_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
# By the number of an error of the system.
_REMEDIES = {
    errno.ENOSPC: _FREE_SPACE,
    errno.EDQUOT: _FREE_SPACE,
    errno.EACCES: _PERMISSION,
    errno.EPERM: _PERMISSION,
    errno.EROFS: "give a directory on a disk that can be written",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.EISDIR: "give the name of a file",
    errno.ENOTDIR: "a part of this path is a file; give another directory",
    errno.EEXIST: "it is in the way; give another name",
    errno.ENOENT: "check the name",
    errno.ELOOP: "a link in this path leads to itself; give another path",
    errno.ESTALE: "the network disk was mounted anew; run the command again",
    errno.EIO: "the disk or its network fails; run the command again, or on another disk",
    errno.EFBIG: "the disk or `ulimit -f` does not allow files of this size",
    errno.EMFILE: "raise `ulimit -n`",
}
_PLATFORM = "correct JAX_PLATFORMS, or install jax for this platform"
_VARIABLE = "correct this variable of the environment"
# By a part of the text of a RuntimeError or ValueError.
_TEXTS = {
    "home directory": "set HOME, or give paths without ~ and set OCGM_DATA_DIR",
    "Unable to initialize backend": _PLATFORM,
    "Unknown backend": _PLATFORM,
    "for JAX flag": _VARIABLE,
    "for environment 'JAX": _VARIABLE,
    "RESOURCE_EXHAUSTED": "the device has too little memory; lower the batch size, the number of"
    " slots or the side of the images",
}


def explain(error: Exception) -> str | None:
    """Return one line that says what failed, where, and what to do; None for what may be a bug."""
    text = text_of(error)
    if isinstance(error, OSError):
        return _of_the_system(error)
    if isinstance(error, MemoryError):
        return f"out of memory ({text}); lower the batch size or the number of images."
    if isinstance(error, flags.Error):  # Of --flagfile, which ml_collections reads early.
        return text
    if isinstance(error, AssertionError) and _jax_has_no_device():
        return f"JAX does not find the platform JAX_PLATFORMS={os.environ['JAX_PLATFORMS']}; {_PLATFORM}."
    if isinstance(error, RuntimeError | ValueError):
        for part, remedy in _TEXTS.items():
            if part in text:
                return f"{text.rstrip('.')}; {remedy}."
    return None


def text_of(error: Exception) -> str:
    """Return the text of an error in one line; that of a KeyError is its argument, which `str` would quote."""
    return one_line(error.args[0] if isinstance(error, KeyError) and error.args else error)


def _of_the_system(error: OSError) -> str:
    if error.errno is None:
        return text_of(error)
    where = "" if error.filename is None else os.fsdecode(error.filename)
    if len(where) > 200:
        where = f"{where[:120]}...{where[-60:]}"
    if not where and error.errno in _WRITING:
        where = "cannot write"
    parts = [where, error.strerror or os.strerror(error.errno)]
    message = ": ".join(filter(None, parts))
    return f"{'; '.join(filter(None, [message, _REMEDIES.get(error.errno)]))}."


def _jax_has_no_device() -> bool:
    """Return whether JAX fails for want of a platform, which for some is an AssertionError without text."""
    if "jax" not in sys.modules or "JAX_PLATFORMS" not in os.environ:
        return False
    try:
        return not sys.modules["jax"].devices()
    except (AssertionError, RuntimeError):
        return True
