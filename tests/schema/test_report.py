"""Tables that declare a full factorial design: every combination once, and no trace in tables without one."""

from itertools import combinations

import pytest
from pydantic import ValidationError

from transgan.schema import TableConfig


def table(rows, factors=("a", "b"), **more):
    return {
        "title": "t",
        "source": "s",
        "columns": [{"dataset": "digits", "title": "Digits", "metrics": ["fid"]}],
        "factors": [{"name": name, "levels": ["without", "with"]} for name in factors],
        "rows": [{"name": " ".join(row) or "none", "factors": list(row)} for row in rows],
        **more,
    }


FULL = [(), ("a",), ("b",), ("a", "b")]


def test_a_full_design_is_accepted_in_any_order_of_rows():
    assert len(TableConfig.model_validate(table(FULL[::-1])).rows) == 4
    three = [each for size in range(4) for each in combinations("abc", size)]
    assert len(TableConfig.model_validate(table(three, "abc")).factors) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (table(FULL[:3]), r"no row has `factors: \[a, b\]`; a full design has all combinations"),
        (table(FULL[1:]), r"no row has `factors: \[\]`"),
        (table([*FULL, ("b", "a")]), "rows 'a b' and 'b a' have the same `factors`"),
        (table([*FULL, ("c",)]), "row 'c' names factor 'c', factors are: a, b"),
        (table(FULL, ()), "row 'a' names factor 'a', the table has no `factors`"),
        (table(FULL, ("a", "b", "a")), "two factors are named 'a'"),
        (table(FULL[:2], ("a",)), "two or more of them"),
        (table(FULL, kind="cost"), "in a table of scores"),
        (table(FULL, "abcdefghi"), "at most 8 items"),
    ],
)
def test_what_is_no_full_design_is_refused(content, message):
    with pytest.raises(ValidationError, match=message):
        TableConfig.model_validate(content)


def test_tables_without_factors_have_the_fingerprint_they_had():
    plain = TableConfig.model_validate(table([()], ())).plain()
    assert "factors" not in plain
    assert "factors" not in plain["rows"][0]
