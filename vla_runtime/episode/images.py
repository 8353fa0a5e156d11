"""Camera frames as Foxglove's protobuf messages, so that any MCAP viewer shows them.

A jpeg frame is ``foxglove.CompressedImage``, a raw one ``foxglove.RawImage`` (rgb8); the payload is the bytes that came
over the wire. Field numbers: https://github.com/foxglove/foxglove-sdk/tree/main/schemas/proto/foxglove
"""

from __future__ import annotations

from typing import Any, Literal

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

from vla_runtime.wire.frames import FrameMessage

__all__ = ["SCHEMA_NAMES", "descriptor_set", "image_bytes", "image_payload"]

SCHEMA_NAMES: dict[Literal["jpeg", "raw"], str] = {"jpeg": "foxglove.CompressedImage", "raw": "foxglove.RawImage"}

_Field = descriptor_pb2.FieldDescriptorProto
_STAMP = ("timestamp", 1, _Field.TYPE_MESSAGE)
_MESSAGES = {
    "CompressedImage": (
        _STAMP,
        ("data", 2, _Field.TYPE_BYTES),
        ("format", 3, _Field.TYPE_STRING),
        ("frame_id", 4, _Field.TYPE_STRING),
    ),
    "RawImage": (
        _STAMP,
        ("width", 2, _Field.TYPE_FIXED32),
        ("height", 3, _Field.TYPE_FIXED32),
        ("encoding", 4, _Field.TYPE_STRING),
        ("step", 5, _Field.TYPE_FIXED32),
        ("data", 6, _Field.TYPE_BYTES),
        ("frame_id", 7, _Field.TYPE_STRING),
    ),
}


def _file(name: str) -> descriptor_pb2.FileDescriptorProto:
    """``foxglove/<name>.proto``."""
    file = descriptor_pb2.FileDescriptorProto(
        name=f"foxglove/{name}.proto",
        package="foxglove",
        syntax="proto3",
        dependency=["google/protobuf/timestamp.proto"],
    )
    message = file.message_type.add(name=name)
    for field, number, kind in _MESSAGES[name]:
        added = message.field.add(name=field, number=number, type=kind, label=_Field.LABEL_OPTIONAL)
        if kind == _Field.TYPE_MESSAGE:
            added.type_name = ".google.protobuf.Timestamp"
    return file


def _timestamp_file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto()
    timestamp_pb2.DESCRIPTOR.CopyToProto(file)
    return file


def _classes() -> dict[str, Any]:
    pool = descriptor_pool.DescriptorPool()
    pool.Add(_timestamp_file())
    for name in _MESSAGES:
        pool.Add(_file(name))
    return {
        f"foxglove.{name}": message_factory.GetMessageClass(pool.FindMessageTypeByName(f"foxglove.{name}"))
        for name in _MESSAGES
    }


_CLASSES = _classes()


def descriptor_set(encoding: Literal["jpeg", "raw"]) -> bytes:
    """The MCAP schema of frames in ``encoding``: a serialised FileDescriptorSet with everything it depends on."""
    name = SCHEMA_NAMES[encoding].rsplit(".", 1)[1]
    files = descriptor_pb2.FileDescriptorSet(file=[_timestamp_file(), _file(name)])
    data: bytes = files.SerializeToString(deterministic=True)
    return data


def image_bytes(frame: FrameMessage) -> bytes:
    """``frame`` as the message of its encoding; its timestamp is the capture stamp, its frame_id the camera."""
    image = _CLASSES[SCHEMA_NAMES[frame.encoding]](data=frame.payload, frame_id=frame.camera)
    image.timestamp.seconds, image.timestamp.nanos = divmod(frame.capture_ns, 1_000_000_000)
    if frame.encoding == "jpeg":
        image.format = "jpeg"
    else:
        image.encoding = "rgb8"
        image.width, image.height, image.step = frame.width, frame.height, frame.width * 3
    data: bytes = image.SerializeToString(deterministic=True)
    return data


def image_payload(schema_name: str, data: bytes) -> bytes:
    """The frame's payload out of a message; raises protobuf's DecodeError."""
    payload: bytes = _CLASSES[schema_name].FromString(data).data
    return payload
