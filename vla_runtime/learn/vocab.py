"""How many ids instructions need, if they are hashed to them."""

from __future__ import annotations

from collections.abc import Sequence

from vla_runtime.core.errors import LogError
from vla_runtime.core.instructions import sha1_mod

__all__ = ["MOST_IDS", "text_vocab"]

MOST_IDS = 1 << 16
"""An embedding has a row for each id: more would outweigh the rest of the policy."""
_SHA1 = 1 << 160


def text_vocab(texts: Sequence[str]) -> int:
    """The smallest number of ids, from 256, with which no two of ``texts`` share one.

    Raises:
        LogError: it would be above ``MOST_IDS``; about a thousand instructions are too many.
    """
    hashes = [sha1_mod(text, _SHA1) for text in dict.fromkeys(texts)]
    for vocab in range(max(256, len(hashes)), MOST_IDS + 1):
        if _distinct(hashes, vocab):
            return vocab
    raise LogError(
        f"{len(hashes)} different instructions given, expected so few that they hash to different ids below {MOST_IDS}"
    )


def _distinct(hashes: Sequence[int], vocab: int) -> bool:
    seen: set[int] = set()
    for value in hashes:
        if (place := value % vocab) in seen:
            return False
        seen.add(place)
    return True
