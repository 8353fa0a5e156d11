"""Text becomes an id by one rule, and only text that was trained on."""

import hashlib

import msgspec
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tensordict import NonTensorStack, TensorDict
from torchrl.modules.vla import TinyVLA

from vla_runtime.core.errors import ContractMismatch
from vla_runtime.core.instructions import InstructionEncoding
from vla_runtime.learn.prompts import as_tokens

TRAINED = ("push the T-shaped block onto the target", "go home", "pick the plüm", "")


@given(st.text(), st.integers(1, 1 << 16))
def test_the_id_is_the_sha1_of_the_text_modulo_the_vocabulary(text: str, vocab: int) -> None:
    expected = int.from_bytes(hashlib.sha1(text.encode()).digest(), "big") % vocab
    assert InstructionEncoding("sha1_mod", vocab, (text,)).encode(text) == expected


def test_the_sha1_is_the_published_one() -> None:
    # FIPS 180-4's example: sha1("abc") = a9993e36 4706816a ba3e2571 7850c26c 9cd0d89d
    assert InstructionEncoding("sha1_mod", 1 << 16, ("abc",)).encode("abc") == 0xD89D


@pytest.mark.parametrize("vocab", [2, 97, 256])
def test_the_id_is_the_one_that_tinyvla_embeds(vocab: int) -> None:
    policy = TinyVLA(action_dim=1, chunk_size=1, text_vocab=vocab)
    seen = []
    policy.text_embedding.register_forward_pre_hook(lambda module, args: seen.append(args[0].flatten().tolist()))
    inputs = TensorDict({"language_instruction": NonTensorStack(*TRAINED)}, [len(TRAINED)])
    inputs["observation", "image"] = torch.zeros(len(TRAINED), 3, 8, 8, dtype=torch.uint8)
    inputs["observation", "state"] = torch.zeros(len(TRAINED), 2)
    with torch.no_grad():
        policy(inputs)
    encoding = InstructionEncoding("sha1_mod", vocab, TRAINED)
    assert seen == [[encoding.encode(text) for text in TRAINED]]


def test_a_table_gives_the_position() -> None:
    encoding = InstructionEncoding("table", 4, TRAINED)
    assert [encoding.encode(text) for text in TRAINED] == [0, 1, 2, 3]


@pytest.mark.parametrize("kind", ["sha1_mod", "table"])
def test_an_untrained_instruction_is_refused_with_the_trained_ones_listed(kind) -> None:
    encoding = InstructionEncoding(kind, 256, TRAINED)
    with pytest.raises(ContractMismatch) as refused:
        encoding.encode("go hone")
    message = str(refused.value)
    assert "'go hone'" in message
    assert all(repr(text) in message for text in TRAINED)
    assert "did you mean 'go home'?" in message
    with pytest.raises(ContractMismatch) as refused:
        encoding.encode("zzzzzzzz")
    assert "did you mean" not in str(refused.value)


@pytest.mark.parametrize("near", ["Go home", "go home ", " go home", "go  home"])
def test_a_text_that_differs_in_one_character_is_another_text(near: str) -> None:
    with pytest.raises(ContractMismatch):
        InstructionEncoding("sha1_mod", 256, TRAINED).encode(near)


TOKENS = InstructionEncoding("tokens", 50, ("go", "go home"), 4, 9, ((7,), (7, 8, 11)))


def test_a_graph_is_given_the_id_the_padded_tokens_or_nothing() -> None:
    assert InstructionEncoding("table", 4, TRAINED).inputs([2, 0])["instruction_id"].tolist() == [2, 0]
    assert TOKENS.inputs([1, 0])["instruction_tokens"].tolist() == [[7, 8, 11, 9], [7, 9, 9, 9]]
    assert InstructionEncoding("fixed", 1, ("go",)).inputs([0]) == {}
    assert TOKENS.shapes() == {"instruction_tokens": (4,)}


@pytest.mark.parametrize("wrong", [-1, 2])
def test_an_id_without_tokens_is_refused(wrong: int) -> None:
    with pytest.raises(ContractMismatch, match="expected 0 to 1"):
        TOKENS.inputs([0, wrong])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tokens": ((7,),)}, "has 1 rows, expected one for each text"),
        ({"tokens": ((7,), ())}, "'go home' has 0 tokens, expected 1 to 4"),
        ({"tokens": ((7,), (1, 2, 3, 4, 5))}, "has 5 tokens, expected 1 to 4"),
        ({"tokens": ((7,), (50,))}, "the token 50, expected 0 to 49"),
        ({"tokens": ((7,), (9,))}, "but not the pad 9"),
        ({"tokens": ((7,), (7,))}, "cannot tell them apart"),
        ({"texts": ("go", "go")}, "names 'go' twice"),
        ({"kind": "table", "vocab": 2}, "belong to kind 'tokens', not 'table'"),
        ({"kind": "table", "vocab": 1}, "vocab is 1, expected at least the 2 texts"),
        ({"kind": "fixed"}, "a fixed instruction has one text, 2 given"),
    ],
)
def test_an_encoding_that_contradicts_itself_is_refused(change: dict, message: str) -> None:
    assert TOKENS.problems() == []
    assert message in "; ".join(msgspec.structs.replace(TOKENS, **change).problems())


@given(st.lists(st.text(max_size=20), min_size=1, max_size=4, unique=True))
def test_texts_as_bytes_are_tokens_that_the_contract_may_hold(texts: list[str]) -> None:
    told = as_tokens(InstructionEncoding("table", len(texts), tuple(texts)))
    if {"", " "} <= set(texts):  # the empty text is one space's token
        assert "cannot tell them apart" in told.problems()[0]
    else:
        assert told.problems() == []
