"""Workers for the tests, and modules of user code in folders of their own."""

import textwrap

import pytest

from worker_process import Worker


@pytest.fixture
def module(tmp_path):
    """module(source, name="model.py"): the path of a file with that source, in the test's own folder."""
    def write(source, name="model.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))
        return path
    return write


@pytest.fixture
def worker():
    """A worker process that has loaded nothing yet."""
    with Worker() as started:
        yield started


@pytest.fixture
def serve(worker, module):
    """serve(source, name, **config): the test's worker with that module loaded, and its READY or ERROR."""
    def load(source, name="load_servable", **config):
        return worker, worker.load(module(source), name, **config)
    return load
