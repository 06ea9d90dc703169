"""The servables that ./bench custom measures: an image as it came, and one after some milliseconds of Python."""

import tflite_serving

IMAGE = {"serving_default": tflite_serving.Signature({"x": tflite_serving.TensorSpec("float32", [None, 224, 224, 3])},
                                                     {"y": tflite_serving.TensorSpec("float32", [None, 224, 224, 3])})}


class Identity(tflite_serving.Servable):
    signatures = IMAGE

    def predict(self, inputs):
        return {"y": inputs["x"]}


class Copy(Identity):
    def predict(self, inputs):
        return {"y": inputs["x"].copy()}


class Busy(Identity):
    def predict(self, inputs):
        sum(range(200_000))
        return {"y": inputs["x"]}
