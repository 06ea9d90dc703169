"""Packed weights: one copy for all interpreters of a model, in huge pages."""

import os
import pathlib
import re
import sys

import numpy as np
import pytest
import requests

from server_process import MODELS

sys.path.insert(0, str(MODELS))
import tflite_writer

KIB, HUGE_PAGE = 1 << 10, 2 << 20
INPUTS, OUTPUTS, INTERPRETERS = 1024, 1200, 3


def dense_layer():
    """`x` [n, INPUTS] → `y` [n, OUTPUTS], INPUTS times x with 4.7 MiB of weights that are all 1."""
    graph = tflite_writer.Graph()
    x = graph.tensor("x", "float32", [1, INPUTS], dynamic=[0])
    y = graph.tensor("y", "float32", [1, OUTPUTS], dynamic=[0])
    weights = graph.constant("weights", np.ones([OUTPUTS, INPUTS], np.float32))
    graph.op("FULLY_CONNECTED", [x, weights, -1], [y], tflite_writer.schema.FullyConnectedOptionsT())
    return graph.finish([x], [y], signature="serving_default")


def weight_mappings(pid):
    """[(address, {"Size": bytes, "Pss": …, …})]"""
    text = pathlib.Path(f"/proc/{pid}/smaps").read_text()
    return [(int(address, 16), {name: int(kib) * KIB for name, kib in re.findall(r"^(\w+): +(\d+) kB", figures, re.M)})
            for address, figures in re.findall(r"^(\w+)-\w+ .*memfd:tflite_weights.*\n((?:[A-Z].*\n)+)", text, re.M)]


def kernel_makes_huge_pages():
    """Whether it is able to put 2 MiB of a file in memory into one page when asked."""
    kernel = pathlib.Path("/sys/kernel/mm/transparent_hugepage")
    release = tuple(map(int, re.findall(r"\d+", os.uname().release)[:2]))
    return (release >= (6, 1) and kernel.exists() and int((kernel / "hpage_pmd_size").read_text()) == HUGE_PAGE
            and "[deny]" not in (kernel / "shmem_enabled").read_text())


@pytest.fixture
def server(tmp_path, start_server):
    path = tmp_path / "dense.tflite"
    path.write_bytes(dense_layer())
    return start_server("dense", path, f"--num_tflite_pools={INTERPRETERS}")


def test_one_copy_for_all_interpreters(server):
    mappings = weight_mappings(server.pid)
    assert len(mappings) == INTERPRETERS
    size = mappings[0][1]["Size"]
    assert size >= INPUTS * OUTPUTS * 4
    assert sum(figures["Pss"] for _, figures in mappings) <= size
    response = requests.post(server.predict_url, json={"instances": [[2.0] * INPUTS]})
    assert response.json() == {"predictions": [[2.0 * INPUTS] * OUTPUTS]}


def test_huge_pages(server):
    """They fit wherever this runs, and are there where the kernel is able to make them."""
    mappings = weight_mappings(server.pid)
    assert [address % HUGE_PAGE for address, _ in mappings] == [0] * INTERPRETERS
    made = any(figures["ShmemPmdMapped"] >= HUGE_PAGE for _, figures in mappings)  # as many as there was memory for in one piece
    assert made or not kernel_makes_huge_pages()
