// How to batch, from a file: --batching_parameters_file, for all models, or the batching_params.pbtxt in a version's directory, for that one alone.
//
// The format is tensorflow.serving.BatchingParameters (proto/tensorflow_serving/servables/tensorflow/session_bundle_config.proto) as protobuf text,
// in which most numbers are messages:
//
//   max_batch_size { value: 32 }
//   batch_timeout_micros { value: 1000 }
//   allowed_batch_sizes: [8, 32]
//   pad_variable_length_inputs: true
//   pad_value: -1  # of our own; see servable/batching_parameters.h
//
// What is not given has its default. As in the original, max_enqueued_batches of 0 means 1, unless large batches are split.
//
// Both functions are thread-safe and write nothing to the log or to standard error. Errors are INVALID_ARGUMENT if the text is not of the format or
// not what Check accepts; the message names the file, and the line and column or the field and its value.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/status.h"
#include "servable/batching_parameters.h"

namespace tflite_serving {

inline constexpr size_t kMaxBatchingParametersBytes = size_t{1} << 20;

// `file_name` is where the text came from, for errors.
StatusOr<BatchingParameters> ParseBatchingParametersText(std::string_view text, std::string_view file_name);

// Also RESOURCE_EXHAUSTED for more than kMaxBatchingParametersBytes, NOT_FOUND, and whatever else keeps the file from being read.
StatusOr<BatchingParameters> ReadBatchingParametersFile(const std::string& path);

}  // namespace tflite_serving
