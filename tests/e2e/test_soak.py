"""A minute of soak.py, which runs for as long as it is told to as a script."""

import pytest

import soak


@pytest.mark.timeout(300)
def test_nothing_grows_leaks_or_breaks():
    # Its warm-up does not fill every pool of the server: what leaks for long shows in the long form.
    assert soak.run(seconds=60, max_growth=1.2) == []
