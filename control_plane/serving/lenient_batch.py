"""Lenient batches: protobuf messages read so that one bad item does not refuse the whole batch.

The generated classes refuse a message in which any text is not UTF-8. A batch has one caller but
many items, and each item is to have an answer of its own. So the class made here reads the same
wire format with texts as bytes (both are length-delimited), and what the caller names stays
unparsed altogether. Used only for what the generated class has refused: it is no faster.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

_Field = descriptor_pb2.FieldDescriptorProto


def lenient_class(
    strict: type[Message], *, unparsed: Collection[str] = (), entries: Collection[str] = ()
) -> Any:
    """The class that reads `strict` leniently. unparsed: fields of it that stay bytes, whatever
    they are; entries: messages of its file whose maps of texts are lists of their entries. Raises
    ValueError for a name that is no field of it."""
    descriptor = strict.DESCRIPTOR
    unknown = set(unparsed) - set(descriptor.fields_by_name)
    if unknown:
        raise ValueError(f"{descriptor.name} has no field {min(unknown)}")
    pool = descriptor_pool.DescriptorPool()
    file = descriptor_pb2.FileDescriptorProto()
    descriptor.file.CopyToProto(file)
    _copy_imports(file, pool, set())
    del file.service[:]
    for message in file.message_type:
        for field in message.field:
            if field.type == _Field.TYPE_STRING:
                field.type = _Field.TYPE_BYTES
            elif message.name == descriptor.name and field.name in unparsed:
                field.type = _Field.TYPE_BYTES
                field.ClearField("type_name")
        for entry in message.nested_type if message.name in entries else ():
            entry.options.ClearField("map_entry")
            for field in entry.field:
                if field.type == _Field.TYPE_STRING:
                    field.type = _Field.TYPE_BYTES
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(descriptor.full_name))


def _copy_imports(
    file: descriptor_pb2.FileDescriptorProto,
    pool: descriptor_pool.DescriptorPool,
    copied: set[str],
) -> None:
    """What a file imports, and what that imports, as they are."""
    for name in file.dependency:
        if name not in copied:
            copied.add(name)
            imported = descriptor_pb2.FileDescriptorProto()
            descriptor_pool.Default().FindFileByName(name).CopyToProto(imported)
            _copy_imports(imported, pool, copied)
            pool.Add(imported)
