"""Modules of timm without its models, which import torchvision."""

import importlib.util
import sys
import types
from pathlib import Path

import pytest


def timm_layer(name):
    """Import `timm.layers.<name>` alone: torchvision has no build for a CPU torch."""
    if "timm" not in sys.modules:
        spec = importlib.util.find_spec("timm")
        if spec is None:
            pytest.skip("timm is not installed")
        root = Path(spec.origin).parent
        for package, folder in (("timm", root), ("timm.layers", root / "layers")):
            module = types.ModuleType(package)
            module.__path__ = [str(folder)]
            sys.modules[package] = module
    return importlib.import_module(f"timm.layers.{name}")
