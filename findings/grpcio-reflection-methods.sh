#!/usr/bin/env bash
# grpcio-reflection: a service is found by name, a method of it is not.
#
# Expected: file_containing_symbol takes <package>.<service>[.<method>], says reflection.proto, and
# answers with the file that declares it, as the servers of grpc-go and gRPC C++ do.
# Happens: NOT_FOUND for every method, also of the reflection service itself. The servicer asks
# protobuf's Python pool, whose FindFileContainingSymbol knows messages, fields, enums, values of
# enums and services, and no methods.
# It is also there as v1alpha alone; to v1, the released protocol, the server says UNIMPLEMENTED.
# Matters here: ghz asks for the method that it is to call and ends with "Symbol not found".
# Homeport completes the pool, see control_plane/serving/reflection.py.
#
# https://github.com/grpc/grpc/issues/34743
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  grpcio==1.85.3 grpcio-reflection==1.85.1 protobuf==7.36.2
"$folder/venv/bin/pip" freeze | grep -E '^(grpcio|grpcio-reflection|protobuf)='

cat >"$folder/ask.py" <<'PYTHON'
import sys
from concurrent import futures

import grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2 as pb, reflection_pb2_grpc

SERVICE = "grpc.reflection.v1alpha.ServerReflection"
FIELD = "grpc.reflection.v1alpha.ServerReflectionRequest.host"
EXPECTED = {SERVICE: "found", f"{SERVICE}.ServerReflectionInfo": "NOT_FOUND", FIELD: "found"}

server = grpc.server(futures.ThreadPoolExecutor())
reflection.enable_server_reflection([SERVICE], server)
port = server.add_insecure_port("127.0.0.1:0")
server.start()
seen = {}
with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
    asked = [pb.ServerReflectionRequest(file_containing_symbol=name) for name in EXPECTED]
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    for answer in stub.ServerReflectionInfo(iter(asked), timeout=20):
        missing = answer.WhichOneof("message_response") == "error_response"
        seen[answer.original_request.file_containing_symbol] = (
            {5: "NOT_FOUND"}.get(answer.error_response.error_code) if missing else "found"
        )
    released = channel.stream_stream(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        request_serializer=pb.ServerReflectionRequest.SerializeToString,
        response_deserializer=pb.ServerReflectionResponse.FromString,
    )
    try:
        list(released(iter(asked), timeout=20))
        seen["v1"] = "served"
    except grpc.RpcError as error:
        seen["v1"] = error.code().name
server.stop(None)
for name, outcome in seen.items():
    print(f"{outcome:13} {name}")
sys.exit(seen != {**EXPECTED, "v1": "UNIMPLEMENTED"})
PYTHON
"$folder/venv/bin/python" "$folder/ask.py" || { echo "this has changed" >&2; exit 1; }
