"""A short form of connection_load.py, which judges times too as a script."""

import pytest

import connection_load


@pytest.mark.timeout(300)
def test_idle_slow_and_short_connections_leave_nothing_behind():
    assert connection_load.run(idle=500, slow=10, short=2000, seconds=2, rounds=1, judge_times=False) == []
