"""What is written is what is read, by our reader and by mcap's."""

import os
import zlib

import mcap.writer
import numpy as np
import pytest
from google.protobuf import descriptor_pb2
from mcap.reader import NonSeekingReader, make_reader

from vla_runtime.core.errors import LogError, MalformedMessage
from vla_runtime.episode import writer as writer_module
from vla_runtime.episode.mcapfile import chunk_closer
from vla_runtime.episode.reader import read_episode
from vla_runtime.episode.schema import encode_chunk, encode_request, encode_state
from vla_runtime.episode.writer import EpisodeWriter
from vla_runtime.wire.frames import decode_frame

from .samples import chunk, frame, log_passes, request, state, tick, wire

ABOUT = {"config": '{"rate_hz": 200}', "policy_hash": "abc", "instruction": "pick the plüm"}


def write(path, passes=24, encodings=("raw", "jpeg")):
    writer = EpisodeWriter(path, ABOUT)
    log = None
    for index in range(passes):
        log = log_passes(writer, 1, index, log)
        for encoding in encodings:
            writer.frame(decode_frame(wire(encoding, index, encoding), encoding), index)
    writer.close()
    assert writer.error == ""
    assert writer.dropped == 0
    return path


@pytest.fixture(scope="module")
def episode_file(tmp_path_factory):
    return write(tmp_path_factory.mktemp("episode") / "one.mcap")


def test_every_record_reads_back(episode_file):
    episode = read_episode(episode_file)
    assert episode.metadata == ABOUT
    assert episode.ticks == [tick(index, "running" if index % 10 else "holding") for index in range(24)]
    for index in range(24):
        (found,) = episode.states_by_tick[index]
        assert encode_state(index, found) == encode_state(index, state(index))
    assert sorted(episode.requests_by_tick) == sorted(episode.chunks_by_tick) == list(range(0, 24, 4))
    for index, requests in episode.requests_by_tick.items():
        assert [encode_request(index, found) for found in requests] == [encode_request(index, request(index // 4))]
    for index, chunks in episode.chunks_by_tick.items():
        assert [encode_chunk(index, *found) for found in chunks] == [
            encode_chunk(index, chunk(index // 4), "" if index % 8 else "stale")
        ]
    assert [change.mode for change in episode.modes] == ["holding", "running"] * 3
    assert not episode.truncated
    assert episode.dropped == 0
    assert episode.missing_ticks() == []


def test_frames_read_back_as_they_came_over_the_wire(episode_file):
    episode = read_episode(episode_file)
    assert episode.cameras == ("jpeg", "raw")
    for seq in (0, 11, 23):
        for camera in episode.cameras:
            sent = decode_frame(wire(camera, seq, camera), camera)
            assert episode.frame(camera, seq).message(sent_ns=sent.sent_ns) == sent
        assert (episode.frame("raw", seq).pixels() == frame(seq).pixels).all()
    assert [found.frame().seq for found in episode.frames("jpeg")] == list(range(24))


def test_a_frame_that_was_not_logged_is_an_error_that_names_the_cameras(episode_file):
    episode = read_episode(episode_file)
    with pytest.raises(LogError, match=r"no frame 99 of camera 'raw'; cameras with frames: jpeg, raw"):
        episode.frame("raw", 99)
    with pytest.raises(LogError, match="'left'"):
        episode.frame("left", 1)


def test_a_damaged_frame_is_an_error_when_it_is_decoded(tmp_path):
    path = tmp_path / "damaged.mcap"
    writer = EpisodeWriter(path, {})
    payload = b"\xff\xd8 no jpeg"
    broken = decode_frame(wire("top", 1), "top")
    broken = type(broken)(1, "top", 1, 2, 3, "jpeg", 6, 8, payload, zlib.crc32(payload))
    writer.frame(broken, 4)
    writer.close()
    with pytest.raises(MalformedMessage):
        read_episode(path).frame("top", 1).pixels()


def test_equal_runs_give_equal_bytes(tmp_path):
    assert write(tmp_path / "a.mcap").read_bytes() == write(tmp_path / "b.mcap").read_bytes()


@pytest.mark.parametrize("reader", [make_reader, NonSeekingReader])
def test_mcaps_own_readers_open_the_file_with_foxgloves_schemas(episode_file, reader):
    with episode_file.open("rb") as stream:
        messages = list(reader(stream).iter_messages())
    assert len(messages) == 24 * 2 + 6 * 2 + 6 + 24 * 2
    schemas = {(channel.topic, schema.name, schema.encoding) for schema, channel, _ in messages}
    assert schemas == {
        ("/tick", "vla_runtime.Tick", "jsonschema"),
        ("/state", "vla_runtime.State", "jsonschema"),
        ("/request", "vla_runtime.Request", "jsonschema"),
        ("/chunk", "vla_runtime.Chunk", "jsonschema"),
        ("/mode", "vla_runtime.Mode", "jsonschema"),
        ("/camera/jpeg", "foxglove.CompressedImage", "protobuf"),
        ("/camera/raw", "foxglove.RawImage", "protobuf"),
    }
    seqs = [message.sequence for _, channel, message in messages if channel.topic == "/camera/raw"]
    assert seqs == list(range(24))
    publish = [message.publish_time for _, channel, message in messages if channel.topic == "/camera/raw"]
    assert publish == [frame(seq).capture_ns for seq in range(24)]


def test_the_seeking_reader_finds_summary_and_metadata(episode_file):
    with episode_file.open("rb") as stream:
        reader = make_reader(stream)
        summary = reader.get_summary()
        assert summary.statistics.message_count == 114
        assert [record.name for record in reader.iter_metadata()] == ["vla_runtime", "vla_runtime_end"]


def test_image_schemas_have_foxgloves_field_numbers(episode_file):
    with episode_file.open("rb") as stream:
        schemas = {schema.name: schema.data for schema in make_reader(stream).get_summary().schemas.values()}
    fields = {}
    for name in ("foxglove.CompressedImage", "foxglove.RawImage"):
        files = descriptor_pb2.FileDescriptorSet.FromString(schemas[name]).file
        assert files[0].name == "google/protobuf/timestamp.proto"
        fields[name] = {field.name: field.number for field in files[1].message_type[0].field}
    assert fields["foxglove.CompressedImage"] == {"timestamp": 1, "data": 2, "format": 3, "frame_id": 4}
    assert fields["foxglove.RawImage"] == {
        "timestamp": 1, "width": 2, "height": 3, "encoding": 4, "step": 5, "data": 6, "frame_id": 7,
    }  # fmt: skip


def test_a_frame_is_kept_once_and_a_camera_may_change_size(tmp_path):
    writer = EpisodeWriter(tmp_path / "a.mcap", {})
    for seq, size in ((1, (6, 8)), (1, (6, 8)), (2, (4, 4)), (1, (6, 8))):
        writer.frame(decode_frame(wire("top", seq, size=size), "top"), 0)
    writer.close()
    episode = read_episode(tmp_path / "a.mcap")
    assert [found.pixels().shape for found in episode.frames("top")] == [(6, 8, 3), (4, 4, 3)]


def test_a_finished_chunk_is_in_the_file_as_soon_as_it_is_flushed(tmp_path):
    writer = EpisodeWriter(tmp_path / "a.mcap", ABOUT)
    log_passes(writer, 5)
    writer.flush()
    episode = read_episode(tmp_path / "a.mcap")
    assert len(episode.ticks) == 5
    assert episode.truncated
    assert episode.dropped is None
    writer.close()


def test_mcap_still_has_the_call_that_ends_a_chunk():
    chunk_closer(mcap.writer.Writer(bytearray()))
    with pytest.raises(LogError, match=r"mcap >= 1.1"):
        chunk_closer(object())


def test_an_existing_file_is_never_overwritten(tmp_path):
    path = tmp_path / "a.mcap"
    path.write_bytes(b"precious")
    with pytest.raises(LogError, match="exists"):
        EpisodeWriter(path, {})
    assert path.read_bytes() == b"precious"


@pytest.mark.parametrize("name", ["a.bag", "nowhere/a.mcap"])
def test_a_file_that_cannot_be_created_is_refused(tmp_path, name):
    with pytest.raises(LogError, match=name):
        EpisodeWriter(tmp_path / name, {})


def test_stamps_beyond_the_files_range_are_kept_in_the_payload(tmp_path):
    writer = EpisodeWriter(tmp_path / "a.mcap", {})
    writer.put("/tick", -5, 2**70, b"{}")
    writer.put("/elsewhere", 1, 1, b"{}")
    writer.close()
    writer.put("/tick", 1, 1, b"{}")
    writer.frame(decode_frame(wire("top", 1), "top"), 0)
    assert (writer.messages, writer.dropped) == (1, 3)
    assert "1 records could not be decoded" in read_episode(tmp_path / "a.mcap").note


def test_a_camera_that_renames_itself_endlessly_does_not_use_up_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(writer_module, "_MOST_CHANNELS", 3)
    writer = EpisodeWriter(tmp_path / "a.mcap", {})
    for name in range(9):
        writer.frame(decode_frame(wire(f"camera{name}", 1), f"camera{name}"), 0)
    log_passes(writer, 4)
    writer.close()
    assert len(read_episode(tmp_path / "a.mcap").ticks) == 4
    assert writer.dropped == 6


class FullDisk:
    """os.write that stops taking bytes after ``room`` of them."""

    def __init__(self, real, room):
        self.real, self.room = real, room

    def __call__(self, fd, data):
        if self.room == 0:
            raise OSError(28, "No space left on device")
        taken = self.real(fd, bytes(data[: self.room]))
        self.room -= taken
        return taken


@pytest.mark.parametrize("room", [0, 3, 100, 700, 5_000, 20_000, 22_222])
def test_a_full_disk_never_raises_and_leaves_the_whole_records(tmp_path, monkeypatch, room):
    path = tmp_path / "a.mcap"
    monkeypatch.setattr("vla_runtime.episode.mcapfile.os.write", FullDisk(os.write, room))
    writer = EpisodeWriter(path, ABOUT)
    log = None
    for index in range(60):
        log = log_passes(writer, 1, index, log)
        writer.flush()
    writer.close()
    writer.close()
    assert "No space left on device" in writer.error
    assert writer.dropped > 0
    assert path.stat().st_size == room
    if room < 700:
        with pytest.raises(LogError):
            read_episode(path)
    else:
        found = read_episode(path).ticks
        assert [entry.index for entry in found] == list(range(len(found)))
        assert read_episode(path).truncated


def test_missing_ticks_are_named(tmp_path):
    writer = EpisodeWriter(tmp_path / "a.mcap", {})
    log = log_passes(writer, 3)
    log_passes(writer, 2, 6, log)
    writer.close()
    assert read_episode(tmp_path / "a.mcap").missing_ticks() == [3, 4, 5]


def test_an_episode_without_ticks_misses_none(tmp_path):
    EpisodeWriter(tmp_path / "a.mcap", {}).close()
    assert read_episode(tmp_path / "a.mcap").missing_ticks() == []


def test_compressed_files_read_the_same(episode_file, tmp_path):
    """Other tools compress by default."""
    with episode_file.open("rb") as source, (tmp_path / "z.mcap").open("wb") as target:
        reader, out = make_reader(source), mcap.writer.Writer(target)
        out.start()
        for record in reader.iter_metadata():
            out.add_metadata(record.name, record.metadata)
        channels = {}
        for schema, channel, message in reader.iter_messages():
            if channel.id not in channels:
                schema_id = out.register_schema(schema.name, schema.encoding, schema.data)
                channels[channel.id] = out.register_channel(
                    channel.topic, channel.message_encoding, schema_id, channel.metadata
                )
            out.add_message(
                channels[channel.id], message.log_time, message.data, message.publish_time, message.sequence
            )
        out.finish()
    episode, original = read_episode(tmp_path / "z.mcap"), read_episode(episode_file)
    assert sorted(episode.ticks, key=lambda entry: entry.index) == original.ticks
    assert np.array_equal(episode.frame("raw", 7).pixels(), original.frame("raw", 7).pixels())
