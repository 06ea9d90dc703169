"""The larger models of the benchmark, too big to be kept with the sources."""

import functools

import numpy as np

import converter
from converter import tf

SIDE = 224
CLASSES = 1000
CALIBRATION_IMAGES = 8

MLP_WIDTHS = (256, 2048, 2048, 10)


@functools.cache
def mobilenet_network():
    """MobileNetV2 with random weights, made to answer different images differently.

    Fresh batch normalisation and a fresh last layer would give every image the same 1000
    probabilities of 0.001, which int8 rounds to zero; hence the statistics of real batches
    and a wider last layer.
    """
    tf.keras.utils.set_random_seed(converter.SEED)
    network = tf.keras.applications.MobileNetV2(weights=None, classes=CLASSES)
    normalisations = [layer for layer in network.layers
                      if isinstance(layer, tf.keras.layers.BatchNormalization)]
    for layer in normalisations:
        layer.momentum = 0.0
    network(random_images(16), training=True)
    kernel = network.layers[-1].kernel
    kernel.assign(kernel * 8.0)
    return network


def random_images(count):
    generator = np.random.default_rng(converter.SEED)
    return generator.uniform(-1, 1, [count, SIDE, SIDE, 3]).astype(np.float32)


def convert_mobilenet(configure=None):
    return converter.convert_classifier(mobilenet_network(), "image", configure)


def mobilenet_v2_float():
    """MobileNetV2, 224x224, 14 MB: the benchmark's typical model."""
    return convert_mobilenet()


def mobilenet_v2_int8():
    """The same quantised throughout."""
    def configure(tflite_converter):
        converter.quantise_int8(tflite_converter, "image",
                                random_images(CALIBRATION_IMAGES)[:, np.newaxis])
    return convert_mobilenet(configure)


def mlp_2048():
    """Dense layers 256 -> 2048 -> 2048 -> 10, 19 MB of float weights that every run reads once, for
    one row or for many: the model for which batching pays."""
    generator = np.random.default_rng(converter.SEED)
    layers = [generator.normal(scale=inputs ** -0.5, size=[inputs, outputs]).astype(np.float32)
              for inputs, outputs in zip(MLP_WIDTHS, MLP_WIDTHS[1:])]

    def function(x):
        for weights in layers[:-1]:
            x = tf.nn.relu(x @ weights)
        return {"y": x @ layers[-1]}
    return converter.convert_function(function, converter.spec("x", [None, MLP_WIDTHS[0]]))
