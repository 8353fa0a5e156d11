"""How many ids instructions need."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from vla_runtime.core.errors import LogError
from vla_runtime.core.instructions import sha1_mod
from vla_runtime.learn.vocab import MOST_IDS, text_vocab


@pytest.mark.parametrize("count", [1, 20, 300])
def test_it_is_the_smallest_number_from_256_with_which_no_two_share_an_id(count: int) -> None:
    texts = [f"instruction {number}" for number in range(count)]
    vocab = text_vocab(texts)
    assert len({sha1_mod(text, vocab) for text in texts}) == count
    assert all(len({sha1_mod(text, less) for text in texts}) < count for less in range(256, min(vocab, 400)))


def test_a_text_that_is_given_twice_counts_once() -> None:
    assert text_vocab(["same", "same"]) == 256


def test_too_many_instructions_are_refused_soon() -> None:
    with pytest.raises(LogError, match=f"5000 different instructions given.*{MOST_IDS}"):
        text_vocab([str(number) for number in range(5000)])
