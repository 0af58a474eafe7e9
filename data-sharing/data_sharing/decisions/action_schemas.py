"""Schemas of actions' inputs and outputs, compiled once for each text."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from data_sharing.rules.value_types import ValueTypes, values_of
from data_sharing.schemas import DataSchema


def compiled_schema(document: Mapping[str, Any] | bool) -> DataSchema:
    """A schema of a manifest. Equal documents share one."""
    return _compiled(msgspec.json.encode(_as_object(document)))


def input_values(document: Mapping[str, Any] | bool) -> ValueTypes:
    """What the values that a schema is for may be. Equal documents share them."""
    return _values(msgspec.json.encode(_as_object(document)))


def _as_object(document: Mapping[str, Any] | bool) -> Mapping[str, Any]:
    """`true` takes everything, `false` nothing."""
    if isinstance(document, bool):
        return {} if document else {"not": {}}
    return document


@lru_cache(maxsize=1_024)
def _compiled(text: bytes) -> DataSchema:
    return DataSchema(msgspec.json.decode(text))


@lru_cache(maxsize=1_024)
def _values(text: bytes) -> ValueTypes:
    return values_of(msgspec.json.decode(text))
