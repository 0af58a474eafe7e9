#!/bin/sh
# protobuf (PyPI): json_format takes an empty list, or an empty text, for an empty message.
#
# Expected: a message is a JSON object (https://protobuf.dev/programming-guides/json/), so `[]` and
# `""` are refused, as `["a"]`, `0` and `null` are.
# What happens: they are read as a message without fields, at the top and in fields of messages.
# Why it matters here: over HTTP, `POST …/clients/c:provision` with the body `[]`, which a script
# may send that forgot to fill in what it knows, would place the client as if nothing had been
# wrong with the request. control_plane/http_serving/json_messages.py looks before json_format does.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet protobuf==7.36.2
cat > "$folder/check.py" <<'PYTHON'
import sys

import google.protobuf
from google.protobuf import json_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto


def read(text):
    try:
        message = json_format.Parse(text, FileDescriptorProto())
    except json_format.ParseError:
        return "refused"
    return "with options" if message.HasField("options") else "empty"


print("protobuf", google.protobuf.__version__)
expected = {
    "{}": "empty", "[]": "empty", '""': "empty", '["a"]': "refused", "0": "refused",
    "null": "refused", '{"options": []}': "with options", '{"options": ""}': "with options",
}
found = {text: read(text) for text in expected}
for text, outcome in found.items():
    print(f"{text} is {outcome}")
sys.exit(found != expected)
PYTHON
"$folder/venv/bin/python" "$folder/check.py"
