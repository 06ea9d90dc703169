"""The examples, as they lie there, with the interpreter of this environment."""

import base64
import io
import json
import pathlib

import numpy as np
import pytest

from worker_process import ROOT, Worker

EXAMPLES = ROOT / "examples"

pytest.importorskip("ai_edge_litert")


def test_custom_servable_without_tensorflow(tmp_path):
    for package in pathlib.Path(np.__file__).parents[1].iterdir():
        if not package.name.startswith(("tensorflow", "keras")):
            (tmp_path / package.name).symlink_to(package)
    with Worker("-S", env={"PYTHONPATH": str(tmp_path)}) as worker:
        assert worker.load(EXAMPLES / "custom_servable/model_wrapper.py").message == ""
        request = (EXAMPLES / "custom_servable/request.json").read_bytes()
        for rows in (1, 3):
            body = json.dumps({"instances": rows * json.loads(request)["instances"]}).encode()
            predictions = json.loads(worker.call(body).body)["predictions"]
            assert np.argmax(predictions, axis=1).tolist() == [2] * rows
        reply = worker.call(b'{"instances": "x"}')
        assert reply.is_error and list(json.loads(reply.body)) == ["error"]


def test_image_classification(worker):
    image = pytest.importorskip("PIL.Image")
    ready = worker.load(EXAMPLES / "image_classification/model_wrapper.py", "ImageClassifier", labels="labels.txt", top="2")
    assert ready.message == "" and ready.batchable
    assert ready.signatures[0][2:] == ({"image_bytes": (7, (-1,))}, {"labels": (7, (-1, 2)), "scores": (1, (-1, 2))})
    png = base64.b64decode(json.loads((EXAMPLES / "image_classification/request.json").read_text())["instances"][0]["b64"])
    jpeg = io.BytesIO()
    image.open(io.BytesIO(png)).resize((200, 200)).save(jpeg, "JPEG")
    labels, scores = worker.predict(np.array([png, jpeg.getvalue()], object)).tensors
    assert labels.values[:, 0].tolist() == [b"two", b"two"] and (scores.values[:, 0] > 0.9).all()
    reply = worker.predict(np.array([b"GIF"], object))
    assert reply.code == 3 and reply.message.startswith("not an image: ")


def test_text_tokenizer(worker):
    ready = worker.load(EXAMPLES / "text_tokenizer/model_wrapper.py", "Sentiment")
    assert ready.message == "" and ready.batchable
    positive, = worker.predict(np.array([b"A lovely day, and GOOD food!", b"The worst of all.", b""], object)).tensors
    assert np.allclose(positive.values, 1 / (1 + np.exp([-3.5, 2, 0])))
