#!/bin/sh
# cloudevents (PyPI): a quoted header value keeps its quotes.
#
# Expected: in HTTP's binary mode a value that is a quoted string is unquoted, and so is a quoted
# part of one, before it is percent-decoded (CloudEvents 1.0.2, HTTP binding, 3.1.3.2).
# What happens: the quotes become part of the attribute. `ce-id: q` and `ce-id: "q"`, which name one
# event, are read as two.
# Why it matters here: a feed keeps each (source, id) once, so an event that a proxy or another
# library quoted would be kept twice. docs/decisions/0018-reading-cloudevents.md says how events
# are read here.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet cloudevents==2.2.0
cat > "$folder/check.py" <<'PYTHON'
import sys
from importlib.metadata import version

from cloudevents.core.bindings.http import HTTPMessage, from_binary
from cloudevents.core.formats.json import JSONFormat


def read(id_):
    headers = {"ce-specversion": "1.0", "ce-type": "t", "ce-source": "/s", "ce-id": id_,
               "content-type": "application/json"}
    return from_binary(HTTPMessage(headers, b"{}"), JSONFormat()).get_id()


plain, quoted = read("q"), read('"q"')
print("cloudevents", version("cloudevents"))
print(f"ce-id: q is read as {plain!r}, ce-id: \"q\" as {quoted!r}")
sys.exit(not (plain == "q" and quoted == '"q"'))
PYTHON
"$folder/venv/bin/python" "$folder/check.py"
