"""Conditions over an event, and events that they may hold for, for property tests."""

from __future__ import annotations

from hypothesis import strategies as st

from data_sharing.event import Event

FIELDS = ("data.a", "data.b", "data.c.d", "key", "subject")

scalars = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([0.5, -0.5, 2.0, 2**53, 2**53 + 1, -(2**60), 1e300]),
    st.sampled_from(["", "a", "ab", "abc", "b"]),
    st.booleans(),
    st.none(),
)
literals = scalars.map(
    lambda value: (
        {None: "null", True: "true", False: "false"}.get(value)
        if value is None or isinstance(value, bool)
        else f'"{value}"'
        if isinstance(value, str)
        else repr(value)
    )
)
paths = st.sampled_from([f"event.{field}" for field in FIELDS])
leaves = st.one_of(
    st.builds(
        lambda path, op, literal: f"{path} {op} {literal}",
        paths, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), literals,
    ),
    st.builds(lambda path, op, literal: f"{literal} {op} {path}",
              paths, st.sampled_from(["==", "<", ">="]), literals),
    st.builds(
        lambda path, items: f"{path} in [{', '.join(items)}]", paths, st.lists(literals, max_size=4)
    ),
    st.builds(lambda path, text: f'{path}.startsWith("{text}")', paths,
              st.sampled_from(["", "a", "ab"])),
    st.sampled_from(["has(event.data.a)", "has(event.data.c.d)", "has(event.data.c)",
                     "event.data.b", '"a" in event.data.list', "size(event.data.list) > 1"]),
)  # fmt: skip
conditions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(lambda one, other: f"({one} && {other})", inner, inner),
        st.builds(lambda one, other: f"({one} || {other})", inner, inner),
        st.builds(lambda one: f"!({one})", inner),
        st.builds(lambda one, two, three: f"({one} ? {two} : {three})", inner, inner, inner),
    ),
    max_leaves=6,
)
data = st.fixed_dictionaries(
    {},
    optional={
        "a": scalars,
        "b": scalars,
        "c": st.one_of(scalars, st.fixed_dictionaries({}, optional={"d": scalars})),
        "list": st.lists(scalars, max_size=3),
        **{f"other{n}": scalars for n in range(4)},
    },
)
events = st.builds(
    lambda key, subject, data: Event("t", "s", "1", "feed", key, 0, data, subject),
    st.sampled_from(["", "a", "ab"]), st.sampled_from(["", "a", "b"]), data,
)  # fmt: skip
