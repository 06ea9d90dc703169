"""The Python server that people write around a .tflite file: FastAPI and LiteRT's interpreter.

Started by ./bench as `uvicorn fastapi_server:app`, a worker process for each core, the model's path in MODEL. One event
loop and one single-threaded interpreter for each process: `async def` spares FastAPI its hop to a thread.
"""

import os
from typing import Any

import fastapi
import numpy as np
import pydantic
from ai_edge_litert.interpreter import Interpreter


class PredictRequest(pydantic.BaseModel):
    instances: list[Any]


app = fastapi.FastAPI()
interpreter = Interpreter(os.environ["MODEL"], num_threads=1)
[model_input] = interpreter.get_input_details()
[model_output] = interpreter.get_output_details()
input_shape = None


@app.post("/v1/models/{model}:predict")
async def predict(model: str, request: PredictRequest):
    global input_shape
    batch = np.asarray(request.instances, model_input["dtype"])
    if batch.shape != input_shape:
        interpreter.resize_tensor_input(model_input["index"], batch.shape)
        interpreter.allocate_tensors()
        input_shape = batch.shape
    interpreter.set_tensor(model_input["index"], batch)
    interpreter.invoke()
    return {"predictions": interpreter.get_tensor(model_output["index"]).tolist()}
