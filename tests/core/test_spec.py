"""A contract survives its file bit for bit, and one that contradicts itself is refused."""

import json
import struct

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vla_runtime.core.errors import PolicyFileError
from vla_runtime.core.instructions import InstructionEncoding
from vla_runtime.core.spec import (
    FORMAT_VERSION,
    ActionSpec,
    CameraSpec,
    GoldenSample,
    Normalisation,
    PolicySpec,
    StateSpec,
)

from .samples import spec

finite = st.floats(allow_nan=False, allow_infinity=False)


def pairs(element):
    return st.tuples(element, element)


def bits(values) -> bytes:
    return b"".join(struct.pack("<d", value) for value in values)


@settings(deadline=None, max_examples=300)
@given(pairs(finite), pairs(finite), pairs(finite), pairs(finite), st.lists(pairs(finite), min_size=3, max_size=3))
def test_every_float_reads_back_to_the_same_bits(lows, highs, means, stds, rows) -> None:
    actions = tuple(
        ActionSpec(f"a{i}", "rad", low, high) for i, (low, high) in enumerate(zip(lows, highs, strict=True))
    )
    normalisation = Normalisation((0.0, 1.0, 2.0), (1.0, 1.0, 1.0), means, stds)
    whole = spec(actions=actions, normalisation=normalisation, golden=GoldenSample("go home", tuple(rows), stds[0]))
    read = PolicySpec.from_json(whole.to_json())
    assert bits(action.low for action in read.actions) == bits(lows)
    assert bits(action.high for action in read.actions) == bits(highs)
    assert bits(read.normalisation.action_mean) == bits(means)
    assert bits(read.normalisation.action_std) == bits(stds)
    assert read.golden is not None
    assert [bits(row) for row in read.golden.actions] == [bits(row) for row in rows]
    assert bits([read.golden.tolerance]) == bits(stds[:1])


def test_a_contract_that_clamps_nothing_is_written_as_before() -> None:
    stated = json.loads(spec().to_json())["normalisation"]
    assert set(stated) == {"state_mean", "state_std", "action_mean", "action_std"}
    clamping = msgspec.structs.replace(spec().normalisation, clamp=4.0, mode="quantiles")
    whole = spec(normalisation=clamping)
    assert PolicySpec.from_json(whole.to_json()) == whole


@given(st.text(), st.dictionaries(st.text(), st.text(), max_size=3))
def test_every_text_reads_back(text: str, libraries: dict[str, str]) -> None:
    whole = spec(name=text, libraries=libraries, instruction=InstructionEncoding("table", 2, (text, text + "!")))
    whole = msgspec.structs.replace(whole, golden=None)
    assert PolicySpec.from_json(whole.to_json()) == whole
    assert PolicySpec.from_json(whole.to_json().decode()) == whole


CONTRADICTIONS = {
    "no row": ({"chunk_length": 0, "golden": None}, ["chunk_length is 0", "at least 1"]),
    "no time between rows": ({"dt_ns": 0}, ["dt_ns is 0", "at least 1"]),
    "a kept dimension that is scaled": (
        {"normalisation": Normalisation((0.0,) * 3, (1.0,) * 3, (0.0,) * 2, (1.0, 2.0), None, "min_max", ("turn",))},
        ["keeps turn as it is", "mean 0 and std 2"],
    ),
    "a kept dimension that there is not": (
        {"normalisation": Normalisation((0.0,) * 3, (1.0,) * 3, (0.0,) * 2, (1.0,) * 2, keep=("nod",))},
        ["keeps nod", "no action and no state input"],
    ),
    "a clamp that lets nothing pass": (
        {"normalisation": Normalisation((0.0,) * 3, (1.0,) * 3, (0.0,) * 2, (1.0,) * 2, -1.0)},
        ["normalisation.clamp is -1", "above 0"],
    ),
    "no action": (
        {"actions": (), "golden": None, "normalisation": Normalisation((0.0,) * 3, (1.0,) * 3, (), ())},
        ["there is no action"],
    ),
    "one joint twice": (
        {"actions": (ActionSpec("turn", "rad", 0.0, 1.0), ActionSpec("turn", "rad", 0.0, 1.0))},
        ["actions names turn twice"],
    ),
    "one state input twice": (
        {"state": (StateSpec("a", "m"), StateSpec("b", "m"), StateSpec("a", "m"))},
        ["state names a twice"],
    ),
    "one camera twice": (
        {"cameras": (CameraSpec("front", 4, 6), CameraSpec("front", 4, 6))},
        ["cameras names front twice"],
    ),
    "a camera without pixels": ({"cameras": (CameraSpec("front", 4, 0),)}, ["camera front is 4x0", "at least 1x1"]),
    "no instruction": (
        {"instruction": InstructionEncoding("table", 2, ()), "golden": None},
        ["there is no instruction"],
    ),
    "no ids": ({"instruction": InstructionEncoding("sha1_mod", 0, ("go home",))}, ["vocab is 0", "at least 1"]),
    "too few state means": (
        {"normalisation": Normalisation((0.0,), (1.0,) * 3, (0.0,) * 2, (1.0,) * 2)},
        ["state_mean has 1 values", "expected 3"],
    ),
    "too many state stds": (
        {"normalisation": Normalisation((0.0,) * 3, (1.0,) * 4, (0.0,) * 2, (1.0,) * 2)},
        ["state_std has 4 values", "expected 3"],
    ),
    "too many action means": (
        {"normalisation": Normalisation((0.0,) * 3, (1.0,) * 3, (0.0,) * 3, (1.0,) * 2)},
        ["action_mean has 3 values", "expected 2"],
    ),
    "too few action stds": (
        {"normalisation": Normalisation((0.0,) * 3, (1.0,) * 3, (0.0,) * 2, ())},
        ["action_std has 0 values", "expected 2"],
    ),
    "a golden sample too short": (
        {"golden": GoldenSample("go home", ((0.1, 0.2), (0.3, 0.4)), 1e-4)},
        ["golden sample has rows of 2, 2 values", "expected 3 rows of 2"],
    ),
    "a golden sample too narrow": (
        {"golden": GoldenSample("go home", ((0.1, 0.2), (0.3,), (0.5, 0.6)), 1e-4)},
        ["golden sample has rows of 2, 1, 2 values", "expected 3 rows of 2"],
    ),
    "a golden sample of another instruction": (
        {"golden": GoldenSample("fly", ((0.1, 0.2), (0.3, 0.4), (0.5, 0.6)), 1e-4)},
        ["golden sample's instruction 'fly'", "'pick the plum', 'go home'"],
    ),
}


@pytest.mark.parametrize("which", sorted(CONTRADICTIONS))
def test_a_contract_that_contradicts_itself_is_refused_and_both_sides_are_named(which: str) -> None:
    changes, named = CONTRADICTIONS[which]
    wrong = spec(**changes)
    with pytest.raises(PolicyFileError) as checked:
        wrong.check()
    with pytest.raises(PolicyFileError) as read:
        PolicySpec.from_json(wrong.to_json())
    for part in named:
        assert part in str(checked.value)
        assert part in str(read.value)


def test_every_contradiction_is_named_at_once() -> None:
    with pytest.raises(PolicyFileError, match=r"(?s)chunk_length is -1.*dt_ns is -5.*cameras names front twice"):
        spec(chunk_length=-1, dt_ns=-5, cameras=(CameraSpec("front", 1, 1),) * 2, golden=None).check()


def test_a_sound_contract_is_accepted() -> None:
    spec().check()
    spec(golden=None, cameras=(), state=(), normalisation=Normalisation((), (), (0.0,) * 2, (1.0,) * 2)).check()


def changed(**fields) -> bytes:
    return json.dumps(json.loads(spec().to_json()) | fields).encode()


@pytest.mark.parametrize("version", [0, FORMAT_VERSION + 1, 99])
def test_another_format_version_is_refused_before_anything_else_is_judged(version: int) -> None:
    with pytest.raises(PolicyFileError, match=rf"version {version}, this runtime reads {FORMAT_VERSION}"):
        PolicySpec.from_json(changed(format_version=version, field_of_the_future=1))


def test_an_unknown_field_is_refused_by_name() -> None:
    with pytest.raises(PolicyFileError, match="chunk_lenght"):
        PolicySpec.from_json(changed(chunk_lenght=3))
    with pytest.raises(PolicyFileError, match="overlap"):
        PolicySpec.from_json(changed(instruction={"kind": "table", "vocab": 1, "texts": ["go"], "overlap": 1}))


@pytest.mark.parametrize(
    "junk",
    [b"", b"{", b"[]", b"null", b"{}", b'{"format_version": "1"}', b'{"format_version": 1}', b"\xff\xfe", "nonsense"],
)
def test_what_is_no_contract_is_refused(junk: bytes | str) -> None:
    with pytest.raises(PolicyFileError, match="the contract in the policy file"):
        PolicySpec.from_json(junk)


@pytest.mark.parametrize("value", [b"null", b"1e999", b"-1e999", b"NaN", b"Infinity"])
def test_a_contract_holds_finite_numbers_only(value: bytes) -> None:
    data = spec().to_json().replace(b'"high":0.4', b'"high":' + value)
    assert data != spec().to_json()
    with pytest.raises(PolicyFileError):
        PolicySpec.from_json(data)
