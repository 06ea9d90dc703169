"""TensorFlow functions and Keras networks to .tflite bytes, by TensorFlow's converter.

The other files take `tf` from here, because some settings have to come before its import.
"""

import os
import tempfile

# No log, no GPU, and none of the kernels that are chosen by processor, so that another machine
# trains the same weights.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import tensorflow as tf

tf.config.experimental.enable_op_determinism()

SEED = 20
DEFAULT_SIGNATURE = "serving_default"


def spec(name, shape, dtype=tf.float32):
    return tf.TensorSpec(shape, dtype, name=name)


def convert(module, signatures, configure=None):
    """Converts functions of a module, {signature key: tf.function}, to one file's bytes."""
    with tempfile.TemporaryDirectory() as directory:
        tf.saved_model.save(module, directory, signatures=signatures)
        converter = tf.lite.TFLiteConverter.from_saved_model(
            directory, signature_keys=list(signatures))
        if configure is not None:
            configure(converter)
        return converter.convert()


def convert_function(function, *specs, module=None, configure=None):
    """Converts one function from named tensors to {output name: tensor}."""
    module = module or tf.Module()
    module.function = tf.function(function, input_signature=specs, autograph=False)
    return convert(module, {DEFAULT_SIGNATURE: module.function}, configure)


def convert_classifier(network, input_name, configure=None):
    """Converts a Keras network of one input, named here, and one output, `probabilities`."""
    module = tf.Module()
    # Keras wraps its variables; the converter turns into constants only what it finds as
    # TensorFlow's own.
    module.weights = [variable.value for variable in network.variables]
    return convert_function(lambda x: {"probabilities": network(x, training=False)},
                            spec(input_name, network.input_shape), module=module,
                            configure=configure)


def quantise_int8(converter, input_name, samples):
    """Asks for int8 weights, arithmetic, inputs and outputs, measured on the samples."""
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ({input_name: sample} for sample in samples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
