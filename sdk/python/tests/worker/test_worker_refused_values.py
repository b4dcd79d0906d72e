"""What people read of a value that is no output: what it is and what to return instead, and nothing of where it was
found."""

from __future__ import annotations

import pytest

from glidepath.worker import body, failures


@pytest.mark.parametrize("value", [object(), {"deep": [object()]}, float("nan")], ids=["object", "inside", "nan"])
def test_a_value_that_is_no_json_is_told_without_the_way_there(value: object) -> None:
    with pytest.raises(body.OutputRefused) as caught:
        body.encode(value)
    told = failures.describe(caught.value)
    assert "is not a JSON value" in told["message"]
    assert "causes" not in told and "json/encoder" not in told["stack_trace"]
