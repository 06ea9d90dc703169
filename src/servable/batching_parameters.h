// How the requests to a model are batched: what --batching_parameters_file, or a version's own batching_params.pbtxt, says.
//
// The fields are those of TensorFlow Serving's BatchingParameters (servables/tensorflow/session_bundle_config.proto), by name, meaning and default;
// the one that is ours is marked [ours]. A request's size is its rows: the first dimension of its inputs.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "base/status.h"

namespace tflite_serving {

// The most that a size or a count may be, so that no product of two of them leaves int64_t.
inline constexpr int64_t kMaxBatchingCount = std::numeric_limits<int32_t>::max();
inline constexpr int64_t kMaxBatchTimeoutMicros = int64_t{24} * 60 * 60 * 1'000'000;  // a day
inline constexpr int64_t kMaxBatchThreads = 4096;

// A value: thread-compatible. What ReadBatchingParametersFile returns has passed Check.
struct BatchingParameters {
  // --- of each queue; every signature of every version has one ---
  // Rows: a larger request is refused; so many fill a batch, unless max_execution_batch_size says less.
  int64_t max_batch_size = 1000;
  // Microseconds that the oldest request of a batch that is not full waits for others before the batch may run. 0: it runs as soon as a thread is
  // free.
  int64_t batch_timeout_micros = 0;
  // Batches, full or not, that may wait for a thread; what does not fit into them is refused with UNAVAILABLE. At least 1.
  int64_t max_enqueued_batches = 10;
  // Rows, ascending, the last one max_batch_size: a batch is filled up with rows nobody asked for to the next of these. Empty: it runs as it is.
  std::vector<int64_t> allowed_batch_sizes;
  // Whether inputs that differ in a dimension other than the first are padded to the largest one, at the end of each such dimension. If not, they
  // cannot share a batch.
  bool pad_variable_length_inputs = false;
  // [ours] What they are padded with, as the input's type; strings are padded with empty ones. The original takes each tensor's own first element.
  double pad_value = 0;
  // Whether a request may be run in pieces, in several batches.
  bool enable_large_batch_splitting = false;
  // Rows of a batch if enable_large_batch_splitting; at most max_batch_size, which then limits requests alone. 0: max_batch_size.
  int64_t max_execution_batch_size = 0;

  // --- of the threads, which all queues share: those of a version's own file have no effect ---
  int64_t num_batch_threads = 0;                   // batches that run at the same time. 0: one for each usable CPU
  std::string thread_pool_name = "batch_threads";  // of the threads; also a label of metrics

  friend bool operator==(const BatchingParameters&, const BatchingParameters&) = default;
};

// Whether the values are possible and fit together. INVALID_ARGUMENT, which names the field and its value, in TensorFlow Serving's words where it has
// some (shared_batch_scheduler.h, bundle_factory_util.cc); it calls max_batch_size input_batch_size_limit there.
Status Check(const BatchingParameters& parameters);

}  // namespace tflite_serving
