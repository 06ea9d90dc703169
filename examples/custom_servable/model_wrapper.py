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
            input_data = np.array(instances, dtype=self.input_details[0]["dtype"])
            self.interpreter.resize_tensor_input(self.input_details[0]["index"], input_data.shape)
            self.interpreter.allocate_tensors()
            self.interpreter.set_tensor(self.input_details[0]["index"], input_data)
            self.interpreter.invoke()
            output_data = self.interpreter.get_tensor(self.output_details[0]["index"])
            return json.dumps({"predictions": output_data.tolist()}).encode("utf-8")
        except Exception as e:
            return json.dumps({"error": str(e)}).encode("utf-8")


def load_servable(servable_path, config_obj):
    return TFLiteModelWrapper(servable_path + "/model.tflite")
