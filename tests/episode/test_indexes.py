"""A file is the same whether its indexes were packed or not."""

import io

from hypothesis import given
from hypothesis import strategies as st
from mcap.records import ChunkIndex
from mcap.writer import CompressionType, Writer

from vla_runtime.episode.indexes import PackedIndexes, pack_indexes

number = st.integers(0, 2**64 - 1)
indexes = st.builds(
    ChunkIndex, chunk_length=number, chunk_start_offset=number, compression=st.sampled_from(["", "zstd", "lz4"]),
    compressed_size=number, message_end_time=number, message_index_length=number,
    message_index_offsets=st.dictionaries(st.integers(0, 65_535), number, max_size=5), message_start_time=number,
    uncompressed_size=number,
)  # fmt: skip


@given(st.lists(indexes, max_size=8))
def test_indexes_come_back_in_order_and_as_they_were(given_: list[ChunkIndex]) -> None:
    packed = PackedIndexes()
    for index in given_:
        packed.append(index)
    assert list(packed) == given_
    assert list(packed) == given_


def written(packed: bool) -> bytes:
    file = io.BytesIO()
    writer = Writer(file, chunk_size=200, compression=CompressionType.NONE)
    if packed:
        pack_indexes(writer)
        assert isinstance(writer._Writer__chunk_indices, PackedIndexes)
    writer.start(profile="", library="test")
    channels = [writer.register_channel(f"/{n}", "json", 0) for n in range(3)]
    for k in range(100):
        writer.add_message(channels[k % 3], k, b"x" * (k % 7), k, k)
    writer.finish()
    return file.getvalue()


def test_a_file_is_the_same_to_the_byte() -> None:
    assert written(packed=True) == written(packed=False)
