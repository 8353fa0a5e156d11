import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vla_runtime.core.types import ActionChunk, RobotState
from vla_runtime.episode.jsonschema import PAYLOADS, json_schema
from vla_runtime.episode.log import EpisodeLog, NullRecorder
from vla_runtime.episode.schema import (
    MODE,
    TICK,
    decode_chunk,
    decode_mode,
    decode_request,
    decode_state,
    decode_tick,
    encode_chunk,
    encode_request,
    encode_state,
    encode_tick,
)

from .samples import chunk, request, state, tick

doubles = st.floats(allow_nan=True, allow_infinity=True)
vectors = hnp.arrays(np.float64, st.integers(0, 8), elements=doubles)


def same_bits(left, right):
    """Equal to the bit; all NaN count as one."""
    left, right = np.asarray(left), np.asarray(right)
    if left.dtype != right.dtype or left.shape != right.shape:
        return False
    nan = np.isnan(left)
    return bool((nan == np.isnan(right)).all()) and left[~nan].tobytes() == right[~nan].tobytes()


@given(vectors, st.none() | vectors, vectors, st.integers(-(2**63), 2**63 - 1),
       st.none() | st.integers(0, 2**64 - 1))  # fmt: skip
def test_a_state_reads_back_to_the_same_bits(position, velocity, extras, stamp, age):
    given_state = RobotState(position, velocity, stamp, 7, extras, command_age_ns=age)
    index, found = decode_state(encode_state(5, given_state))
    assert (index, found.stamp_ns, found.seq, found.task) == (5, stamp, 7, None)
    assert found.command_age_ns == age
    assert same_bits(found.position, position)
    assert same_bits(found.extras, extras)
    assert (found.velocity is None) if velocity is None else same_bits(found.velocity, velocity)


@given(hnp.arrays(np.float32, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0), elements=st.floats(width=32)))
def test_a_chunk_of_any_shape_reads_back_to_the_same_bits(actions):
    given_chunk = ActionChunk(actions, 1, 2, 3, 4, "hash", {"top": 9}, 12)
    index, found, refusal = decode_chunk(encode_chunk(6, given_chunk, "shape"))
    assert (index, refusal) == (6, "shape")
    assert same_bits(found.actions, actions)
    assert (found.t0_ns, found.dt_ns, found.seq, found.request_seq) == (1, 2, 3, 4)
    assert (found.policy_hash, found.frames, found.sent_ns) == ("hash", {"top": 9}, 12)


@pytest.mark.parametrize("dtype", ["<f2", "<f8", "<i4", "<u8"])
def test_a_chunk_keeps_its_number_type(dtype):
    actions = np.array([[np.iinfo(dtype).max if dtype[1] in "iu" else 0.5, 1]], dtype=dtype)
    _, found, _ = decode_chunk(encode_chunk(0, ActionChunk(actions, 1, 2, 3, 4, ""), ""))
    assert found.actions.dtype == actions.dtype
    assert (found.actions == actions).all()


def test_a_chunk_of_an_unknown_number_type_is_not_read():
    data = encode_chunk(0, chunk(1), "").replace(b'"<f4"', b'"|O"')
    with pytest.raises(ValueError, match="dtype"):
        decode_chunk(data)


@given(st.none() | st.lists(doubles, max_size=8).map(tuple))
def test_a_tick_reads_back_to_the_same_bits(values):
    given_tick = tick(3, values=values)
    found = decode_tick(encode_tick(given_tick))
    assert same_bits(found.wanted or (), given_tick.wanted or ())
    assert encode_tick(found) == encode_tick(given_tick)


def test_a_request_reads_back_with_its_state():
    index, found = decode_request(encode_request(4, request(3)))
    assert (index, found.seq, found.stamp_ns, found.instruction) == (4, 3, request(3).stamp_ns, "pick the plum")
    assert found.episode == 2
    assert same_bits(found.state.position, state(3).position)
    assert found.state.task == state(3).task
    assert found.takeover_ns == request(3).takeover_ns > 0
    assert same_bits(found.committed.actions, request(3).committed.actions)
    assert found.committed.end_ns == request(3).committed.end_ns > 0


@pytest.mark.parametrize("delay", [None, 0, 3])
def test_how_many_rows_of_a_chunk_were_held_reads_back(delay):
    assert decode_chunk(encode_chunk(0, replace(chunk(1), delay=delay), ""))[1].delay == delay


def test_a_log_from_before_plans_were_continued_is_read_as_what_it_was():
    """All of its committed rows were a plan's, and no chunk held any."""
    payload = json.loads(encode_request(4, request(3)))
    del payload["takeover_ns"], payload["committed"]["end_ns"]
    _, found = decode_request(json.dumps(payload).encode())
    told = request(3).committed
    assert (found.takeover_ns, found.committed.end_ns) == (0, told.t0_ns + len(told.actions) * told.dt_ns)
    payload = json.loads(encode_chunk(0, chunk(1), ""))
    del payload["delay"]
    assert decode_chunk(json.dumps(payload).encode())[1].delay is None


class Kept:
    def __init__(self):
        self.puts, self.dropped = [], 0

    def put(self, *record):
        self.puts.append(record)

    def drop(self):
        self.dropped += 1


def test_a_mode_is_logged_when_it_changes_and_only_then():
    sink = Kept()
    log = EpisodeLog(sink)
    for index, mode in enumerate(["idle", "idle", "running", "running", "idle"]):
        log.tick(tick(index, mode))
    changes = [decode_mode(payload) for topic, _, _, payload in sink.puts if topic == MODE]
    assert [(change.tick, change.mode) for change in changes] == [(0, "idle"), (2, "running"), (4, "idle")]
    assert sum(topic == TICK for topic, *_ in sink.puts) == 5


def test_log_times_never_go_back_while_stamps_are_kept():
    sink = Kept()
    log = EpisodeLog(sink)
    log.tick(tick(9))
    log.chunk(10, chunk(1), "")
    log.states(10, [state(1)])
    log.tick(tick(10))
    times = [log_ns for _, log_ns, _, _ in sink.puts]
    assert times == sorted(times)
    assert [publish for topic, _, publish, _ in sink.puts if topic == "/chunk"] == [chunk(1).t0_ns]


@pytest.mark.parametrize("broken", [np.array([object()]), np.array(["left"]), "text", None])
def test_a_record_that_cannot_be_encoded_is_counted_and_never_raises(broken):
    sink = Kept()
    log = EpisodeLog(sink)
    log.states(0, [RobotState(broken, None, 0, 0)])
    log.chunk(0, ActionChunk(broken, 0, 1, 0, 0, ""), "refused")
    log.tick(tick(0, "\ud800"))
    assert sink.dropped == 3
    assert sink.puts == []


def test_the_null_recorder_takes_everything():
    recorder = NullRecorder()
    recorder.states(0, [state(0)])
    recorder.request(0, request(0))
    recorder.chunk(0, chunk(0), "")
    recorder.tick(tick(0))


def kinds(schema):
    """Every keyword and type used in a JSON schema."""
    yield from schema
    yield schema["type"]
    if "items" in schema:
        yield from kinds(schema["items"])
    for field in schema.get("properties", {}).values():
        yield from kinds(field)


@pytest.mark.parametrize("topic", PAYLOADS)
def test_schemas_stay_in_the_subset_that_foxglove_reads(topic):
    schema = json.loads(json_schema(topic))
    assert schema["type"] == "object"
    allowed = {"type", "properties", "items", "object", "array", "number", "integer", "string", "boolean"}
    assert set(kinds(schema)) <= allowed


def test_schemas_name_every_field_of_the_payload():
    payloads = {"/tick": encode_tick(tick(0)), "/state": encode_state(0, state(0)),
                "/request": encode_request(0, request(0)), "/chunk": encode_chunk(0, chunk(0), "")}  # fmt: skip
    for topic, payload in payloads.items():
        assert set(json.loads(json_schema(topic))["properties"]) == set(json.loads(payload))
