#!/bin/sh
# PyPI sippy 2.5.0: Content-Length counts characters of the body, in what is written and in what is
# read.
#
# Expected: "The Content-Length header field indicates the size of the message-body, in decimal
# number of octets" (RFC 3261, 20.14); a body of text/plain;charset=UTF-8 is what SIP MESSAGE is for
# (RFC 3428).
# What happens: messages are strings in sippy, made bytes of when they are sent. `grüße` is given a
# Content-Length of 5 and goes out as 7 octets; a MESSAGE that says 7, as it has to, is taken to
# have a body that is too short. Bodies of ASCII are as they should be.
# Why it matters here: texts go over SIP MESSAGE. The call server counts octets itself and has sippy
# see one character for each (deployment_units/services/telephony/sip).
#
# Exits with 1 when octets are counted.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check sippy==2.5.0
cat > count.py <<'PYTHON'
import sys
from importlib.metadata import version

from sippy.SipRequest import SipRequest

HEAD = (
    "MESSAGE sip:ben@192.0.2.1 SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKa1\r\n"
    "From: <sip:anna@192.0.2.2>;tag=a\r\n"
    "To: <sip:ben@192.0.2.1>\r\n"
    "Call-ID: one@192.0.2.2\r\n"
    "CSeq: 1 MESSAGE\r\n"
    "Max-Forwards: 70\r\n"
    "Content-Type: text/plain;charset=UTF-8\r\n"
)


def of(body, length):
    return f"{HEAD}Content-Length: {length}\r\n\r\n{body}"


def read(body, length):
    try:
        return str(SipRequest(of(body, length)).body)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


print("sippy", version("sippy"))
plain = str(SipRequest(of("hello", 5)))
if "Content-Length: 5\r\n" not in plain:
    sys.exit(2)
written = str(SipRequest(of("gr\u00fc\u00dfe", 5)))
said = next(line for line in written.splitlines() if line.startswith("Content-Length"))
octets = len(written.partition("\r\n\r\n")[2].encode())
print(f"written: {said}, and {octets} octets of body")
answer = read("gr\u00fc\u00dfe", 7)
print(f"read, with the 7 octets that it has: {answer!r}")
sys.exit(0 if said == "Content-Length: 5" and octets == 7 and answer != "gr\u00fc\u00dfe" else 1)
PYTHON
venv/bin/python count.py
