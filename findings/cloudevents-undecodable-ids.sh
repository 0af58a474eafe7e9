#!/bin/sh
# cloudevents (PyPI): two ids that cannot be decoded are read as one event.
#
# Expected: in HTTP's binary mode a value is unquoted, percent-decoded once, and percent-encoded
# bytes that are not UTF-8 MUST be rejected (CloudEvents 1.0.2, HTTP binding, 3.1.3.2).
# What happens: they become U+FFFD. `a%FF` and `a%FE` are two ids on the wire and one id to the
# reader, with the same source: by the specification a duplicate. Quotes are kept in the value.
# Why it matters here: a feed keeps each (source, id) once, so the second event would be dropped
# and answered as kept. docs/decisions/0018-reading-cloudevents.md says how events are read.
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
    try:
        return from_binary(HTTPMessage(headers, b"{}"), JSONFormat()).get_id()
    except ValueError as error:
        return error


first, second, quoted = read("a%FF"), read("a%FE"), read('"q"')
print("cloudevents", version("cloudevents"))
print(f"ce-id: a%FF is {first!r}, ce-id: a%FE is {second!r}")
print(f'ce-id: "q" is {quoted!r}')
sys.exit(not (first == second == "a\ufffd" and quoted == '"q"'))
PYTHON
"$folder/venv/bin/python" "$folder/check.py"
