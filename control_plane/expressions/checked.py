"""CheckedExpr: what a CEL checker writes down, as far as Homeport reads it.

A wire-compatible subset of cel/expr/{syntax,checked}.proto of the CEL specification
(https://github.com/google/cel-spec, Apache-2.0). The CEL package carries these messages in its
C++ part only, so they are described here, under a package of our own, and parsed by protobuf.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from google.protobuf.message import DecodeError

_INT32, _INT64, _UINT64, _DOUBLE = "TYPE_INT32", "TYPE_INT64", "TYPE_UINT64", "TYPE_DOUBLE"
_BOOL, _STRING, _BYTES = "TYPE_BOOL", "TYPE_STRING", "TYPE_BYTES"

# message -> fields as (number, name, type); a type with a capital letter first is a message,
# one with a star is repeated.
_MESSAGES: dict[str, list[tuple[int, str, str]]] = {
    "Constant": [
        (1, "null_value", _INT32), (2, "bool_value", _BOOL), (3, "int64_value", _INT64),
        (4, "uint64_value", _UINT64), (5, "double_value", _DOUBLE), (6, "string_value", _STRING),
        (7, "bytes_value", _BYTES),
    ],
    "Ident": [(1, "name", _STRING)],
    "Select": [(1, "operand", "Expr"), (2, "field", _STRING), (3, "test_only", _BOOL)],
    "Call": [(1, "target", "Expr"), (2, "function", _STRING), (3, "args", "*Expr")],
    "CreateList": [(1, "elements", "*Expr")],
    "Entry": [(3, "map_key", "Expr"), (4, "value", "Expr")],
    "CreateStruct": [(2, "entries", "*Entry")],
    "Comprehension": [
        (1, "iter_var", _STRING), (2, "iter_range", "Expr"), (3, "accu_var", _STRING),
        (4, "accu_init", "Expr"), (5, "loop_condition", "Expr"), (6, "loop_step", "Expr"),
        (7, "result", "Expr"),
    ],
    "Expr": [
        (2, "id", _INT64), (3, "const_expr", "Constant"), (4, "ident_expr", "Ident"),
        (5, "select_expr", "Select"), (6, "call_expr", "Call"), (7, "list_expr", "CreateList"),
        (8, "struct_expr", "CreateStruct"), (9, "comprehension_expr", "Comprehension"),
    ],
    "Position": [(1, "key", _INT64), (2, "value", _INT32)],
    "SourceInfo": [(4, "positions", "*Position")],
    "CheckedExpr": [(4, "expr", "Expr"), (5, "source_info", "SourceInfo")],
    "Any": [(1, "type_url", _STRING), (2, "value", _BYTES)],
}  # fmt: skip
_PACKAGE = "homeport.internal.cel"
_ONE_OF = {"Constant": "constant_kind", "Expr": "expr_kind"}


def _field(number: int, name: str, kind: str, one_of: bool) -> str:
    label = "LABEL_REPEATED" if kind.startswith("*") else "LABEL_OPTIONAL"
    kind = kind.removeprefix("*")
    typed = f'type_name: ".{_PACKAGE}.{kind}"' if not kind.startswith("TYPE_") else f"type: {kind}"
    within = "oneof_index: 0" if one_of else ""
    return f'field {{ name: "{name}" number: {number} label: {label} {typed} {within} }}'


def _message(name: str, fields: list[tuple[int, str, str]]) -> str:
    lines = [
        _field(number, field, kind, name in _ONE_OF and field != "id")
        for number, field, kind in fields
    ]
    if name in _ONE_OF:
        lines.append(f'oneof_decl {{ name: "{_ONE_OF[name]}" }}')
    return f'message_type {{ name: "{name}" {" ".join(lines)} }}'


def _classes() -> tuple[Any, Any]:
    text = f'name: "homeport/internal/cel.proto" package: "{_PACKAGE}" syntax: "proto3" '
    text += " ".join(_message(name, fields) for name, fields in _MESSAGES.items())
    described = text_format.Parse(text, descriptor_pb2.FileDescriptorProto())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(described)
    of = message_factory.GetMessageClass
    find = pool.FindMessageTypeByName
    return of(find(f"{_PACKAGE}.CheckedExpr")), of(find(f"{_PACKAGE}.Any"))


_CheckedExpr, _Any = _classes()


def checked_expr(serialized: bytes) -> Any:
    """The CheckedExpr in an Any, as Expression.serialize writes it. Raises ValueError where it
    is nested deeper than protobuf reads (100 levels)."""
    try:
        return _CheckedExpr.FromString(_Any.FromString(serialized).value)
    except DecodeError as error:
        raise ValueError(str(error)) from None
