"""Many small models in one server: how long the start takes, and what an idle model costs.

    python tests/e2e/many_models.py --models 1000
"""

import argparse
import pathlib
import sys
import tempfile
import time

import requests

import lifecycle_load
from server_process import ConfiguredServer

IDLE_SECONDS = 10


def write_models(directory, count):
    """Model i answers x / 2 + i % 100; the configuration of all."""
    lines = []
    for i in range(count):
        path = directory / f"m{i}" / "1" / "model.tflite"
        path.parent.mkdir(parents=True)
        path.write_bytes(lifecycle_load.model_of(i % 100))
        lines.append(f"config {{ name: 'm{i}' base_path: '{directory}/m{i}' "
                     "model_platform: 'tflite' }")
    config = directory / "models.config"
    config.write_text("model_config_list {\n" + "\n".join(lines) + "\n}\n")
    return config


def wrong_answers(server, count):
    """The models that do not answer as they should."""
    with requests.Session() as session:
        return [i for i in range(count) if session.post(
            f"{server.base_url}/v1/models/m{i}:predict", json={"inputs": [1.0]}
        ).json() != {"outputs": [0.5 + i % 100]}]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=1000)
    count = parser.parse_args().models
    with tempfile.TemporaryDirectory() as directory:
        empty = pathlib.Path(directory) / "none"
        empty.mkdir()
        server = ConfiguredServer(write_models(empty, 0)).wait_until_ready()
        nothing_mib = lifecycle_load.resident_mib(server)[0]
        server.stop()
        begin = time.monotonic()
        server = ConfiguredServer(write_models(pathlib.Path(directory), count)).wait_until_ready()
        start_s = time.monotonic() - begin
        mib = lifecycle_load.resident_mib(server)[0]
        begin = time.monotonic()
        listed = len(requests.get(f"{server.base_url}/v1/models").json()["models"])
        list_ms = (time.monotonic() - begin) * 1000
        wrong = wrong_answers(server, count)
        cpu_s = server.cpu_seconds()
        time.sleep(IDLE_SECONDS)  # tidy-allow(sleep): what is measured is that nothing happens
        cpu_share = (server.cpu_seconds() - cpu_s) / IDLE_SECONDS
        descriptors = server.fd_count()
        server.stop()
    print(f"{count} models: all served after {start_s:.1f} s; listed {listed} in {list_ms:.0f} ms; "
          f"{len(wrong)} wrong answers")
    print(f"resident memory {mib:.0f} MiB, {nothing_mib:.0f} without models: "
          f"{(mib - nothing_mib) * 1024 / count:.0f} KiB and "
          f"{descriptors / count:.1f} descriptors for each idle model")
    print(f"looking at all base paths every second takes {cpu_share:.1%} of a core")
    return 1 if wrong or listed != count else 0


if __name__ == "__main__":
    sys.exit(main())
