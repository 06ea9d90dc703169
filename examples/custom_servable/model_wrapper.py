import json

import numpy as np
import tensorflow as tf


class TFLiteModelWrapper:

    def __init__(self, model_path):
        self.interpreter = tf.lite.Interpreter(model_path=model_path)
        self.interpreter.allocate_tensors()
        self.input_details = self.interpreter.get_input_details()
        self.output_details = self.interpreter.get_output_details()

    def __call__(self, request):
        try:
            instances = json.loads(request)["instances"]
            values = np.array(instances, dtype=self.input_details[0]["dtype"])
            if list(values.shape) != list(self.input_details[0]["shape"]):
                self.interpreter.resize_tensor_input(self.input_details[0]["index"], values.shape)
                self.interpreter.allocate_tensors()
            self.interpreter.set_tensor(self.input_details[0]["index"], values)
            self.interpreter.invoke()
            predictions = self.interpreter.get_tensor(self.output_details[0]["index"])
            return json.dumps({"predictions": predictions.tolist()}).encode("utf-8")
        except Exception as error:
            return json.dumps({"error": str(error)}).encode("utf-8")


def load_servable(servable_path, config_obj):
    return TFLiteModelWrapper(servable_path + "/model.tflite")
