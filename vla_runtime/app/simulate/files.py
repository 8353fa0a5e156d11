"""Episode files that are either whole or not there."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from vla_runtime.core.errors import LogError

__all__ = ["check_free", "drafts"]


def check_free(directory: Path, names: Sequence[str], remedy: str) -> None:
    """Refuse to write ``names`` into ``directory`` where one of them is there already.

    Raises:
        LogError: with the first one, their number and the ``remedy``.
    """
    there = [name for name in names if (directory / name).exists()]
    if there:
        raise LogError(
            f"{len(there)} of the {len(names)} episodes to write are already there, {directory / there[0]} the first; "
            f"{remedy}"
        )


@contextmanager
def drafts(directory: Path) -> Iterator[Path]:
    """A directory inside ``directory`` for files that are not whole yet; gone afterwards, with what is left in it.

    ``directory`` is made if it is not there, and removed again if nothing came of it.

    Raises:
        LogError: it cannot be made.
    """
    made = [path for path in (directory, *directory.parents) if not path.exists()]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".drafts-", dir=directory))
    except OSError as error:
        raise LogError(f"cannot write episodes into {directory}: {error.strerror}") from error
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        with suppress(OSError):  # episodes have come into it
            for path in made:
                path.rmdir()
