"""Python programs in processes of their own."""

import os
import subprocess
import sys


def environment(**changed):
    """Return the variables of this process, and where it finds its modules."""
    paths = os.pathsep.join(filter(None, sys.path))
    return {**os.environ, "PYTHONPATH": paths, **changed}


def run(*arguments, timeout=None, **changed):
    """Run `python` with arguments and changed variables, and return what it wrote."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=environment(**changed),
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
