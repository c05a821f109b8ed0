"""Runs a child interpreter, for what is decided when fastinit is imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import fastinit


def python(*arguments: str, **variables: str) -> str:
    """What a child interpreter prints; it imports this fastinit, with these environment variables set.

    A child that fails is a ``RuntimeError`` with what it wrote on standard error.
    """
    root = str(Path(fastinit.__file__).parents[1])
    path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH")) if part)
    environment = {**os.environ, "PYTHONPATH": path, **variables}
    child = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False)
    if child.returncode != 0:
        raise RuntimeError(f"a child interpreter failed ({child.returncode}):\n{child.stderr}")
    return child.stdout
