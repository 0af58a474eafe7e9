"""A small writer of MaxMind-format files, so that tests can have any database they want.

Format: https://maxmind.github.io/MaxMind-DB/. Records may hold texts, floats, integers,
lists and maps; there are no pointers. In an IPv6 tree IPv4 networks are below ::/96.
"""

import ipaddress
import struct

MARKER = b"\xab\xcd\xefMaxMind.com"
BUILT_AT = 1_780_000_000


def flat_record(country, latitude, longitude):
    """A record in the flat schema of ip-location-db."""
    return {"country_code": country, "latitude": latitude, "longitude": longitude}


def _control(kind, size):
    extended = bytes([kind - 7]) if kind > 7 else b""
    top = 0 if kind > 7 else kind << 5
    if size < 29:
        return bytes([top | size]) + extended
    if size < 285:
        return bytes([top | 29]) + extended + bytes([size - 29])
    return bytes([top | 30]) + extended + (size - 285).to_bytes(2, "big")


def encode(value):
    """One value of the data section."""
    if isinstance(value, bool):
        return _control(14, int(value))
    if isinstance(value, str):
        raw = value.encode()
        return _control(2, len(raw)) + raw
    if isinstance(value, float):
        return _control(3, 8) + struct.pack(">d", value)
    if isinstance(value, int):
        raw = value.to_bytes((value.bit_length() + 7) // 8, "big")
        return _control(9, len(raw)) + raw
    if isinstance(value, list):
        return _control(11, len(value)) + b"".join(map(encode, value))
    pairs = (encode(key) + encode(item) for key, item in value.items())
    return _control(7, len(value)) + b"".join(pairs)


def _tree(networks, ip_version):
    """Nodes as [left, right]; a child is a node's number, None, or the text of a network."""
    nodes = [[None, None]]
    for text in networks:
        network = ipaddress.ip_network(text)
        bits, length = int(network.network_address), network.prefixlen
        if ip_version == 6 and network.version == 4:
            length += 96
        total = 128 if ip_version == 6 else 32
        path = [bits >> (total - 1 - depth) & 1 for depth in range(length)]
        if not path:
            nodes[0] = [text, text]
            continue
        here = 0
        for side in path[:-1]:
            if nodes[here][side] is None:
                nodes.append([None, None])
                nodes[here][side] = len(nodes) - 1
            here = nodes[here][side]
        nodes[here][path[-1]] = text
    return nodes


def write_mmdb(networks, *, record_bits=24, ip_version=6, kind="Own-City", built_at=BUILT_AT):
    """The file's content for disjoint networks, CIDR text -> record."""
    data, places = b"", {}
    for text, record in networks.items():
        places[text] = len(data)
        data += encode(record)
    nodes = _tree(networks, ip_version)

    def number(child):
        if child is None:
            return len(nodes)
        return child if isinstance(child, int) else len(nodes) + 16 + places[child]

    tree = b""
    for left, right in ((number(a), number(b)) for a, b in nodes):
        if record_bits == 28:
            high = (left >> 24) << 4 | right >> 24
            tree += (left & 0xFFFFFF).to_bytes(3, "big") + bytes([high])
            tree += (right & 0xFFFFFF).to_bytes(3, "big")
        else:
            size = record_bits // 8
            tree += left.to_bytes(size, "big") + right.to_bytes(size, "big")
    metadata = {
        "binary_format_major_version": 2,
        "binary_format_minor_version": 0,
        "build_epoch": built_at,
        "database_type": kind,
        "description": {"en": "made by a test"},
        "ip_version": ip_version,
        "languages": ["en"],
        "node_count": len(nodes),
        "record_size": record_bits,
    }
    return tree + bytes(16) + data + MARKER + encode(metadata)
