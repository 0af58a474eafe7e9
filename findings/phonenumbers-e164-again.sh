#!/bin/sh
# phonenumbers 9.0.43: the E.164 form that it writes of a number, it reads as another number.
#
# Expected: E.164 is one number's one form, so reading what was written gives that number again;
# https://github.com/google/libphonenumber recommends it for storing and comparing.
# What happens: `parse` takes one national prefix off what stands behind the country code, and
# `format_number` writes what is left. Where that begins with the prefix once more, the next
# `parse` takes another one off: +4900123456 becomes +490123456, and that +49123456, all of them
# "possible". 00 332345678, read in Australia, is no valid number; read again it is one, of
# somebody else.
# Why it matters here: identifiers are compared and kept by their normal form. One that changes
# when it is read again would be claimed twice, or be somebody else's. What is not read as itself
# is refused (control_plane/identifiers/phones.py).
#
# Exits with 1 when each is read as what was written.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet install phonenumbers==9.0.43
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import phonenumbers
from phonenumbers import PhoneNumberFormat, format_number, is_possible_number, is_valid_number, parse

print("phonenumbers", phonenumbers.__version__)


def described(number):
    validity = "valid" if is_valid_number(number) else "possible" if is_possible_number(number) else "neither"
    return f"{format_number(number, PhoneNumberFormat.E164)} ({validity})"


moved = 0
for text, region in (("+4900123456", None), ("+27002234567", None), ("00332345678", "AU"), ("002033123156", "NG")):
    first = parse(text, region)
    again = parse(format_number(first, PhoneNumberFormat.E164), None)
    print(f"{text} in {region or 'no region'}: {described(first)}, read again {described(again)}")
    moved += first != again and is_possible_number(first)

plain = parse("+442079460018", None)
assert parse(format_number(plain, PhoneNumberFormat.E164), None) == plain
sys.exit(0 if moved == 4 else 1)
PYTHON
