"""Server reflection: a server tells tools its services and the .proto files that declare them.

grpcio-reflection answers; from here come methods, which its protobuf pool does not find, the
protocol's released name beside its alpha, and errors that say what was asked for.
https://github.com/grpc/grpc-proto/blob/master/grpc/reflection/v1/reflection.proto
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Sequence
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, text_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor
from grpc import aio
from grpc_reflection.v1alpha import reflection, reflection_pb2

from control_plane.printable import quoted

V1ALPHA = reflection.SERVICE_NAME
V1 = V1ALPHA.replace(".v1alpha.", ".v1.")
V1_FILE = "grpc/reflection/v1/reflection.proto"
_METHOD = "ServerReflectionInfo"
_SHOWN = 200  # characters of a name that was not found


def enable_reflection(server: aio.Server, services: Sequence[str]) -> None:
    """Adds reflection to a server that has these services, full names; v1 and v1alpha."""
    servicer = _ReflectionServicer([*services, V1, V1ALPHA], pool=Descriptors())  # type: ignore[no-untyped-call]
    # The two versions are the same on the wire, so one set of messages does for both.
    handlers = {
        _METHOD: grpc.stream_stream_rpc_method_handler(
            servicer.ServerReflectionInfo,
            request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
            response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
        )
    }
    for name in (V1, V1ALPHA):
        generic = grpc.method_handlers_generic_handler(name, handlers)
        server.add_generic_rpc_handlers((generic,))
        server.add_registered_method_handlers(name, handlers)


class Descriptors:
    """What the process has loaded of .proto files, and reflection's own v1, by file, symbol
    and extension. Has the methods of a DescriptorPool that grpcio-reflection calls; like
    them they raise KeyError for what there is not.

    All that is loaded, not only what the services' files import: details of errors are Any,
    and a tool that shows them asks for their types.
    """

    def __init__(self) -> None:
        released = descriptor_pool.DescriptorPool()
        # A pool of its own: in the default one it would clash with a package that brings v1.
        released.Add(_released())
        self._pools = (descriptor_pool.Default(), released)

    def FindFileByName(self, name: str) -> FileDescriptor:
        file: FileDescriptor = self._first("FindFileByName", name)
        return file

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:
        """The file that declares a message, field, oneof, enum, enum value, extension,
        service or method; by its full name, without a leading dot."""
        try:
            file: FileDescriptor = self._first("FindFileContainingSymbol", symbol)
        except KeyError:
            # protobuf's pool knows methods only through their service.
            parent, _, name = symbol.rpartition(".")
            service = self._first("FindServiceByName", parent)
            # Not `in methods_by_name`: that reads a name up to its first NUL.
            if name not in [method.name for method in service.methods]:
                raise
            file = service.file
        return file

    def FindMessageTypeByName(self, name: str) -> Descriptor:
        message: Descriptor = self._first("FindMessageTypeByName", name)
        return message

    def FindExtensionByNumber(self, extended: Descriptor, number: int) -> FieldDescriptor:
        return extended.file.pool.FindExtensionByNumber(extended, number)

    def FindAllExtensions(self, extended: Descriptor) -> list[FieldDescriptor]:
        return extended.file.pool.FindAllExtensions(extended)

    def _first(self, find: str, name: str) -> Any:
        for pool in self._pools:
            try:
                return getattr(pool, find)(name)
            except KeyError:
                continue
        raise KeyError(name)


class _ReflectionServicer(reflection.aio.ReflectionServicer):
    """The library's, with its answers completed."""

    async def ServerReflectionInfo(
        self,
        request_iterator: AsyncIterable[reflection_pb2.ServerReflectionRequest],
        context: aio.ServicerContext[Any, Any],
    ) -> AsyncIterator[reflection_pb2.ServerReflectionResponse]:
        async for answer in super().ServerReflectionInfo(request_iterator, context):
            answer.valid_host = answer.original_request.host
            if answer.HasField("error_response"):
                answer.error_response.error_message = _what_is_wrong(answer.original_request)
            yield answer


def _what_is_wrong(request: reflection_pb2.ServerReflectionRequest) -> str:
    """Why a request has no answer, and what has one."""
    asked = request.WhichOneof("message_request")
    if asked is None:
        return "the request asks for nothing that this server knows; set one of its fields"
    if asked == "file_containing_extension":
        wanted = request.file_containing_extension
        name = f"{wanted.containing_type[:_SHOWN]}, number {wanted.extension_number}"
    else:
        name = str(getattr(request, asked))[:_SHOWN]
    return f"{asked}: this server has no {quoted(name)}; list_services says what it has"


def _released() -> descriptor_pb2.FileDescriptorProto:
    """reflection.proto as v1: the alpha's, which it equals but for its names."""
    alpha = descriptor_pb2.FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(alpha)
    text = text_format.MessageToString(alpha).replace(alpha.package, "grpc.reflection.v1")
    released = text_format.Parse(text, descriptor_pb2.FileDescriptorProto())
    released.name = V1_FILE
    return released
