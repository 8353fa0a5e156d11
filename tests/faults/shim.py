"""``shim.c``, compiled where the campaign runs."""

from __future__ import annotations

import mmap
import shutil
import struct
import subprocess
from pathlib import Path

__all__ = ["Shim", "compiler"]

_SOURCE = Path(__file__).with_name("shim.c")
_FAULTS = struct.Struct("<qq")


def compiler() -> str | None:
    """A C compiler, None where there is none."""
    return shutil.which("cc") or shutil.which("gcc")


class Shim:
    """Steps the wall clock, and slows every write to a log, of processes started with ``environment``."""

    def __init__(self, folder: Path) -> None:
        library, switches = folder / "shim.so", folder / "shim"
        found = compiler()
        assert found, "the shim needs a C compiler"
        subprocess.run(
            [found, "-O1", "-shared", "-fPIC", "-o", str(library), str(_SOURCE), "-ldl"], check=True, timeout=60
        )
        switches.write_bytes(bytes(_FAULTS.size))
        with switches.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _FAULTS.size)
        self.environment = {"LD_PRELOAD": str(library), "VLA_FAULTS_SHIM": str(switches)}

    def set(self, wall_s: float = 0.0, write_s: float = 0.0) -> None:
        """The wall clock goes wrong by ``wall_s``; a write to a log takes ``write_s``."""
        self._map[:] = _FAULTS.pack(round(wall_s * 1e9), round(write_s * 1e9))

    def close(self) -> None:
        self._map.close()
