#include "servable/batching_parameters.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <string_view>

#include <fmt/format.h>

namespace tflite_serving {
namespace {

Status CheckMost(std::string_view field, int64_t value, int64_t most) {
  return value <= most ? OkStatus() : InvalidArgumentError(fmt::format("{} must be at most {}; was {}", field, most, value));
}

Status CheckAllowedBatchSizes(const BatchingParameters& parameters) {
  const std::vector<int64_t>& sizes = parameters.allowed_batch_sizes;
  if (sizes.empty()) return OkStatus();
  if (sizes.front() < 1) return InvalidArgumentError(fmt::format("allowed_batch_sizes entries must be positive; was {}", sizes.front()));
  if (const auto pair = std::ranges::adjacent_find(sizes, std::greater_equal<>()); pair != sizes.end()) {
    return InvalidArgumentError(fmt::format("allowed_batch_sizes entries must be monotonically increasing; {} is followed by {}", pair[0], pair[1]));
  }
  if (sizes.back() != parameters.max_batch_size) {
    return InvalidArgumentError(fmt::format("Last entry in allowed_batch_sizes must match max_batch_size; last entry was {}; expected {}",
                                            sizes.back(), parameters.max_batch_size));
  }
  return OkStatus();
}

}  // namespace

Status Check(const BatchingParameters& parameters) {
  if (parameters.num_batch_threads < 0) {
    return InvalidArgumentError(fmt::format("num_batch_threads must be positive; was {}", parameters.num_batch_threads));
  }
  TFLS_RETURN_IF_ERROR(CheckMost("num_batch_threads", parameters.num_batch_threads, kMaxBatchThreads));
  TFLS_RETURN_IF_ERROR(CheckAllowedBatchSizes(parameters));
  if (parameters.max_batch_size < 1) {
    return InvalidArgumentError(fmt::format("input_batch_size_limit must be positive; was {} (max_batch_size)", parameters.max_batch_size));
  }
  TFLS_RETURN_IF_ERROR(CheckMost("max_batch_size", parameters.max_batch_size, kMaxBatchingCount));
  if (parameters.batch_timeout_micros < 0) {
    return InvalidArgumentError(fmt::format("batch_timeout_micros must be non-negative; was {}", parameters.batch_timeout_micros));
  }
  TFLS_RETURN_IF_ERROR(CheckMost("batch_timeout_micros", parameters.batch_timeout_micros, kMaxBatchTimeoutMicros));
  if (parameters.max_enqueued_batches < 1) {
    return InvalidArgumentError(fmt::format("max_enqueued_batches must be positive; was {}", parameters.max_enqueued_batches));
  }
  TFLS_RETURN_IF_ERROR(CheckMost("max_enqueued_batches", parameters.max_enqueued_batches, kMaxBatchingCount));
  if (parameters.max_execution_batch_size < 0) {
    return InvalidArgumentError(fmt::format("max_execution_batch_size must be positive; was {}", parameters.max_execution_batch_size));
  }
  if (parameters.enable_large_batch_splitting && parameters.max_execution_batch_size > parameters.max_batch_size) {
    return InvalidArgumentError(
        fmt::format("When enable_large_batch_splitting is true, input_batch_size_limit must be greater than or equal to max_execution_batch_size. "
                    "max_batch_size is {}, max_execution_batch_size is {}",
                    parameters.max_batch_size, parameters.max_execution_batch_size));
  }
  if (!std::isfinite(parameters.pad_value)) return InvalidArgumentError(fmt::format("pad_value must be finite; was {}", parameters.pad_value));
  if (parameters.pad_value != 0 && !parameters.pad_variable_length_inputs) {
    return InvalidArgumentError(
        fmt::format("pad_value is {} without setting pad_variable_length_inputs to true: nothing would be padded", parameters.pad_value));
  }
  return OkStatus();
}

}  // namespace tflite_serving
