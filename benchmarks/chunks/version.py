"""A hash of all code that a figure depends on: comments, layout and docstrings do not count."""

from __future__ import annotations

import ast
import hashlib
import platform
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import vla_runtime

__all__ = ["code_version", "libraries", "sources"]

_PACKAGE = Path(vla_runtime.__file__).parent
_PARTS = (
    "core", "control", "wire", "plugins", "app/simulate", "app/evaluate", "app/host/device.py", "app/build.py",
    "app/config.py", "app/contract.py", "app/delivery.py", "app/load.py", "app/metrics_port.py",
)  # fmt: skip
_OWN = ("restart.py", "work.py", "trials.py", "world.py")
_LIBRARIES = ("numpy", "mujoco", "onnxruntime", "ruckig", "simplejpeg", "opencv-python-headless")


def sources() -> Iterator[Path]:
    """The files, in order."""
    for part in _PARTS:
        path = _PACKAGE / part
        yield from [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.suffix in (".py", ".xml"))
    yield from (Path(__file__).with_name(name) for name in _OWN)


def code_version() -> str:
    """16 hex digits."""
    found = hashlib.sha256()
    for path in sources():
        found.update(f"{path.parent.name}/{path.name}\n".encode())
        found.update(_meaning(path.read_bytes()) if path.suffix == ".py" else path.read_bytes())
    return found.hexdigest()[:16]


def libraries() -> dict[str, str]:
    """Versions of what computes the figures."""
    return {"python": platform.python_version(), "machine": platform.machine()} | {
        name: version(name) for name in _LIBRARIES
    }


def _meaning(source: bytes) -> bytes:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            node.body = [part for part in node.body if not _is_text(part)]
    return ast.dump(tree).encode()


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
