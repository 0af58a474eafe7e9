"""Tools without .proto files find services, methods and messages by server reflection."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.rpc import error_details_pb2
from grpc import aio
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2 as wire
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.serving.reflection import V1, V1_FILE, V1ALPHA, Descriptors
from control_plane.serving.server import Server, Service, Transport
from homeport.api.fleet.v1 import fleet_pb2, fleet_pb2_grpc

FLEET = "homeport.api.fleet.v1.FleetService"
FILE = "homeport/api/fleet/v1/fleet.proto"
WAIT_S = 20.0
# Both serve the wire of the messages that are here by their alpha names.
VERSIONS = pytest.mark.parametrize("version", [V1, V1ALPHA])


class Fleet(fleet_pb2_grpc.FleetServiceServicer):
    """Has one unit, whichever is asked for."""

    async def GetUnit(self, request, context):
        return fleet_pb2.Unit(clients=len(request.unit_id))


@pytest.fixture(params=["native", "grpcio"])
async def channel(request) -> AsyncIterator[aio.Channel]:
    service = Service(
        add=fleet_pb2_grpc.add_FleetServiceServicer_to_server,
        servicer=Fleet(), name=FLEET, hot={},
    )  # fmt: skip
    server = Server([service], transport=Transport(request.param))
    port = server.bind("127.0.0.1:0")
    await server.start()
    try:
        async with aio.insecure_channel(f"127.0.0.1:{port}") as opened:
            yield opened
    finally:
        await server.stop(0.0)


async def ask(channel: aio.Channel, version: str, *requests: wire.ServerReflectionRequest) -> list:
    """The answers to these requests on one stream."""
    call = channel.stream_stream(
        f"/{version}/ServerReflectionInfo",
        request_serializer=wire.ServerReflectionRequest.SerializeToString,
        response_deserializer=wire.ServerReflectionResponse.FromString,
    )
    return [answer async for answer in call(iter(requests), timeout=WAIT_S)]


def symbol(name: str) -> wire.ServerReflectionRequest:
    return wire.ServerReflectionRequest(file_containing_symbol=name)


def extension(containing: str, number: int) -> wire.ServerReflectionRequest:
    wanted = wire.ExtensionRequest(containing_type=containing, extension_number=number)
    return wire.ServerReflectionRequest(file_containing_extension=wanted)


def files(answer: wire.ServerReflectionResponse) -> list[descriptor_pb2.FileDescriptorProto]:
    assert answer.WhichOneof("message_response") == "file_descriptor_response", answer
    sent = answer.file_descriptor_response.file_descriptor_proto
    return [descriptor_pb2.FileDescriptorProto.FromString(one) for one in sent]


@VERSIONS
async def test_a_client_that_has_no_proto_files_calls_a_method(channel, version) -> None:
    """From the method's name alone: its file, its messages, the call."""
    (answer,) = await ask(channel, version, symbol(f"{FLEET}.GetUnit"))
    pool, waiting = descriptor_pool.DescriptorPool(), {one.name: one for one in files(answer)}

    def add(name: str) -> None:
        one = waiting.pop(name, None)
        if one is not None:
            for needed in one.dependency:
                add(needed)
            pool.Add(one)

    add(FILE)
    method = pool.FindServiceByName(FLEET).methods_by_name["GetUnit"]
    question = message_factory.GetMessageClass(method.input_type)(unit_id="dublin")
    call = channel.unary_unary(
        f"/{FLEET}/GetUnit",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
    )
    assert (await call(question, timeout=WAIT_S)).clients == len("dublin")


@VERSIONS
async def test_every_service_is_listed_and_what_is_listed_is_found(channel, version) -> None:
    listing = wire.ServerReflectionRequest(host="h", list_services="")
    (answer,) = await ask(channel, version, listing)
    names = [service.name for service in answer.list_services_response.service]
    assert set(names) == {FLEET, "grpc.health.v1.Health", V1, V1ALPHA}
    assert (answer.valid_host, answer.original_request) == ("h", listing)
    for name, found in zip(names, await ask(channel, version, *map(symbol, names)), strict=True):
        assert name in {f"{f.package}.{s.name}" for f in files(found) for s in f.service}


@VERSIONS
@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(symbol(FLEET), id="a-service"),
        pytest.param(symbol(f"{FLEET}.GetUnit"), id="a-method"),
        pytest.param(symbol("homeport.api.fleet.v1.GetUnitRequest"), id="a-message"),
        pytest.param(symbol("homeport.api.fleet.v1.GetUnitRequest.unit_id"), id="a-field"),
        pytest.param(wire.ServerReflectionRequest(file_by_filename=FILE), id="the-file"),
    ],
)
async def test_a_file_comes_with_all_that_it_imports(channel, version, request_) -> None:
    """The file asked for first; directly or through others imported ones after it, once."""
    (answer,) = await ask(channel, version, request_)
    sent = files(answer)
    names = [one.name for one in sent]
    assert names[0] == FILE
    assert len(names) == len(set(names)) > 1
    assert {needed for one in sent for needed in one.dependency} <= set(names)


@VERSIONS
async def test_what_is_not_there_is_told_and_the_stream_goes_on(channel, version) -> None:
    missing = {
        f"{FLEET}.NoMethod": symbol(f"{FLEET}.NoMethod"),
        "no.such.Message": symbol("no.such.Message"),
        "": symbol(""),
        "no/such.proto": wire.ServerReflectionRequest(file_by_filename="no/such.proto"),
        "no.Base": extension("no.Base", 1),
        "no.Other": wire.ServerReflectionRequest(all_extension_numbers_of_type="no.Other"),
        "number -1": extension("google.protobuf.MethodOptions", -1),
    }
    nothing = wire.ServerReflectionRequest(host="h")
    answers = await ask(channel, version, *missing.values(), nothing, symbol(FLEET))
    for name, answer in zip(missing, answers, strict=False):
        assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
        assert name in answer.error_response.error_message
    assert answers[-2].error_response.error_code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert "set one of its fields" in answers[-2].error_response.error_message
    assert FILE in {one.name for one in files(answers[-1])}


def declared(file: descriptor_pb2.FileDescriptorProto) -> Iterator[str]:
    """The full name of everything that a file declares."""

    def of_enums(scope: str, enums) -> Iterator[str]:
        for enum in enums:
            yield f"{scope}.{enum.name}"
            yield from (f"{scope}.{value.name}" for value in enum.value)

    def of_messages(scope: str, messages) -> Iterator[str]:
        for message in messages:
            name = f"{scope}.{message.name}"
            yield name
            members = [*message.field, *message.oneof_decl, *message.extension]
            yield from (f"{name}.{member.name}" for member in members)
            yield from of_enums(name, message.enum_type)
            yield from of_messages(name, message.nested_type)

    yield from of_messages(file.package, file.message_type)
    yield from of_enums(file.package, file.enum_type)
    yield from (f"{file.package}.{one.name}" for one in file.extension)
    for service in file.service:
        yield f"{file.package}.{service.name}"
        yield from (f"{file.package}.{service.name}.{method.name}" for method in service.method)


@pytest.mark.parametrize(
    "name",
    [
        FILE,
        fleet_pb2.DESCRIPTOR.dependencies[0].name,
        health_pb2.DESCRIPTOR.name,
        error_details_pb2.DESCRIPTOR.name,
        "google/protobuf/descriptor.proto",
        wire.DESCRIPTOR.name,
        V1_FILE,
    ],
)
def test_every_symbol_is_found_in_the_file_that_declares_it(name: str) -> None:
    """Messages, fields, oneofs, enums, their values, services, methods; nested ones too. So
    are the types of error details, which no service's file imports."""
    found, file = Descriptors(), descriptor_pb2.FileDescriptorProto()
    found.FindFileByName(name).CopyToProto(file)
    symbols = list(declared(file))
    assert symbols
    assert {one: found.FindFileContainingSymbol(one).name for one in symbols} == dict.fromkeys(
        symbols, name
    )


def test_extensions_are_found_by_number_and_by_name() -> None:
    """Homeport's contract has none; a plain file stands for those that a library brings."""
    file = descriptor_pb2.FileDescriptorProto(
        name="reflection_test/marked.proto", package="reflection_test",
        dependency=["google/protobuf/descriptor.proto"],
    )  # fmt: skip
    file.extension.add(
        name="marked", number=50_123, extendee=".google.protobuf.MethodOptions",
        type=descriptor_pb2.FieldDescriptorProto.TYPE_BOOL,
        label=descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL,
    )  # fmt: skip
    descriptor_pool.Default().AddSerializedFile(file.SerializeToString())
    found = Descriptors()
    extended = found.FindMessageTypeByName("google.protobuf.MethodOptions")
    one = found.FindExtensionByNumber(extended, 50_123)
    assert found.FindFileContainingSymbol(one.full_name).name == file.name
    assert 50_123 in {each.number for each in found.FindAllExtensions(extended)}
    with pytest.raises(KeyError):
        found.FindExtensionByNumber(extended, 50_124)


@given(st.text(max_size=300) | st.lists(st.text(max_size=5)).map(".".join))
@settings(max_examples=300, deadline=None)
def test_any_name_that_nothing_has_is_missing_and_no_other_error(name: str) -> None:
    found = Descriptors()
    for find in (
        found.FindFileByName, found.FindFileContainingSymbol, found.FindMessageTypeByName,
    ):  # fmt: skip
        with pytest.raises(KeyError):
            find(name)


@pytest.mark.parametrize("known", [FLEET, f"{FLEET}.GetUnit", "google.protobuf.FieldOptions.CORD"])
@pytest.mark.parametrize("changed", [".{}", "{}.", "{}.x", "{}.{}", "{}\0", " {}", "\0{}"])
def test_a_name_is_found_as_it_is_written_and_not_otherwise(known: str, changed: str) -> None:
    found = Descriptors()
    assert found.FindFileContainingSymbol(known)
    with pytest.raises(KeyError):
        found.FindFileContainingSymbol(changed.format(known, known))


def test_a_nul_in_a_parents_name_counts() -> None:
    with pytest.raises(KeyError):
        Descriptors().FindFileContainingSymbol(f"{FLEET}\0.GetUnit")
