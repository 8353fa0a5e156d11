"""Cut and damaged files: what is whole is read, the rest is named, nothing but LogError is raised."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader

from vla_runtime.core.errors import LogError
from vla_runtime.episode.reader import read_episode
from vla_runtime.episode.recover import recover
from vla_runtime.episode.schema import encode_tick
from vla_runtime.episode.writer import EpisodeWriter
from vla_runtime.wire.frames import decode_frame

from .samples import log_passes, wire


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cut")


@pytest.fixture(scope="module")
def whole(folder):
    """Bytes of an episode of several chunks, finished."""
    writer = EpisodeWriter(folder / "whole.mcap", {"seed": "1"})
    log = None
    for index in range(12):
        log = log_passes(writer, 1, index, log)
        writer.frame(decode_frame(wire("top", index), "top"), index)
        if index % 5 == 4:
            writer.flush()
    writer.close()
    return (folder / "whole.mcap").read_bytes()


def summary(episode):
    """What an episode holds, in the order of the file."""
    return (
        [encode_tick(tick) for tick in episode.ticks],
        sorted(episode.states_by_tick),
        sorted(episode.chunks_by_tick),
        [frame.payload for frame in episode.frames("top")],
    )


def read_bytes(folder, data):
    path = folder / "case.mcap"
    path.write_bytes(data)
    return read_episode(path)


def test_a_file_cut_anywhere_yields_a_prefix_that_grows_with_the_file(folder, whole):
    full = summary(read_bytes(folder, whole))
    before = [0, 0, 0, 0]
    head = whole.index(b"seed") + len("seed") + 4 + len("1")
    for cut in [*range(0, len(whole), 37), *range(len(whole) - 40, len(whole))]:
        if cut < head:
            with pytest.raises(LogError, match=r"case\.mcap"):
                read_bytes(folder, whole[:cut])
            continue
        episode = read_bytes(folder, whole[:cut])
        assert episode.truncated
        assert episode.note
        found = summary(episode)
        sizes = [len(part) for part in found]
        assert [part[:size] for part, size in zip(full, sizes, strict=True)] == list(found)
        assert all(now >= then for now, then in zip(sizes, before, strict=True))
        before = sizes
    assert before == [12, 12, 3, 12]


def test_the_partial_last_chunk_yields_its_whole_messages(folder, whole):
    """The unflushed tail of a disk-full file: cut inside the second chunk, not at its border."""
    counts = {len(read_bytes(folder, whole[:cut]).ticks) for cut in range(whole.index(b"/tick") + 400, len(whole), 101)}
    assert counts >= set(range(1, 13))


@pytest.mark.parametrize("tail", [b"\0" * 500, b"garbage", b"\x05" * 90, b"\x06" + b"\xff" * 60])
def test_bytes_after_a_cut_or_an_end_change_nothing(folder, whole, tail):
    after_end = read_bytes(folder, whole + tail)
    assert not after_end.truncated
    assert "foreign bytes follow" in after_end.note
    cut = len(whole) * 2 // 5
    assert summary(read_bytes(folder, whole[:cut]))[0] == summary(read_bytes(folder, whole[:cut] + tail))[0]


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_changed_bytes_never_raise_anything_but_log_error(folder, whole, data):
    changed = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(LogError):
        episode = read_bytes(folder, bytes(changed))
        for camera in episode.cameras:
            list(episode.frames(camera))
    (folder / "out.mcap").unlink(missing_ok=True)
    with contextlib.suppress(LogError):
        recover(folder / "case.mcap", folder / "out.mcap")


@given(st.binary(max_size=300))
def test_random_bytes_after_the_magic_are_refused(folder, data):
    with pytest.raises(LogError):
        read_bytes(folder, b"\x89MCAP0\r\n" + data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"\x89MCA", "cut after 4 bytes"),
        (b"%PDF-1.7 and more", "no MCAP file"),
        (b"\x89MCAP0\r\n", "no 'vla_runtime' metadata"),
    ],
)
def test_a_file_that_is_no_episode_is_refused_with_the_reason(folder, data, reason):
    with pytest.raises(LogError, match=reason):
        read_bytes(folder, data)


def test_a_missing_file_and_a_directory_are_refused(tmp_path):
    for path in (tmp_path / "none.mcap", tmp_path):
        with pytest.raises(LogError, match="cannot be read"):
            read_episode(path)


def test_a_flipped_bit_is_named(folder, whole):
    at = whole.index(b'"state_seq"') + 14
    episode = read_bytes(folder, whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    assert "does not match its checksum" in episode.note


def test_recover_gives_a_cut_file_a_valid_end(folder, whole, tmp_path):
    for cut in range(len(whole) // 5, len(whole), len(whole) // 9):
        source, out = tmp_path / f"{cut}.mcap", tmp_path / f"{cut}-whole.mcap"
        source.write_bytes(whole[:cut])
        report = recover(source, out)
        episode = read_episode(out)
        assert not episode.truncated
        assert episode.metadata == {"seed": "1"}
        assert summary(episode) == summary(read_episode(source))
        assert not report.whole
        assert 0 <= report.lost_bytes < cut
        with out.open("rb") as stream:
            reader = make_reader(stream)
            assert reader.get_summary().statistics.message_count == report.messages
            assert len(list(reader.iter_messages())) == report.messages


def test_recover_of_a_whole_file_loses_nothing(folder, whole, tmp_path):
    source = tmp_path / "a.mcap"
    source.write_bytes(whole)
    report = recover(source, tmp_path / "b.mcap")
    assert (report.whole, report.lost_bytes, report.note) == (True, 0, "")
    assert summary(read_episode(tmp_path / "b.mcap")) == summary(read_episode(source))


def test_recover_refuses_what_it_must(tmp_path, whole):
    source = tmp_path / "a.mcap"
    source.write_bytes(whole)
    with pytest.raises(LogError, match="exists"):
        recover(source, source)
    assert source.read_bytes() == whole
    foreign = tmp_path / "b.mcap"
    foreign.write_bytes(b"something else")
    with pytest.raises(LogError, match="no MCAP file"):
        recover(foreign, tmp_path / "c.mcap")
    assert not (tmp_path / "c.mcap").exists()


def test_recover_on_a_full_disk_leaves_no_file(tmp_path, whole, monkeypatch):
    source = tmp_path / "a.mcap"
    source.write_bytes(whole)

    def full(fd, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vla_runtime.episode.mcapfile.os.write", full)
    with pytest.raises(LogError, match="No space left"):
        recover(source, tmp_path / "c.mcap")
    assert not (tmp_path / "c.mcap").exists()
