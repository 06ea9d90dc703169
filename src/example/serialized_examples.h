// The tf.Examples of one Classify, Regress or MultiInference request, each serialized, one behind the other in one piece of memory.
//
//   SerializedExamples examples;
//   examples.SetContext(context);                    // if the request has one
//   TFLS_RETURN_IF_ERROR(examples.Add(example));     // for each of them
//   for (size_t i = 0; i < examples.size(); ++i) Use(examples[i]);
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace tflite_serving {

// Thread-compatible. Cleared and used again, it keeps its memory.
class SerializedExamples {
 public:
  // What the copies of the context may take beside the request's own bytes: a small request must not ask for gigabytes.
  static constexpr size_t kMaxContextCopiesBytes = size_t{64} << 20;

  void Clear();

  // The serialized Example whose features hold for every example added from now on that does not have them itself: each begins with a copy of it,
  // which is how TensorFlow Serving merges them (ExampleListWithContext).
  void SetContext(std::string_view context);

  // RESOURCE_EXHAUSTED when the copies of the context pass kMaxContextCopiesBytes.
  Status Add(std::string_view example);

  size_t size() const { return ends_.size(); }
  // The memory that all of them take.
  size_t size_bytes() const { return bytes_.size() + ends_.size() * sizeof(size_t); }
  // Requires i < size(). Valid until the next call of a function that is not const.
  std::string_view operator[](size_t i) const {
    const size_t begin = i == 0 ? 0 : ends_[i - 1];
    return std::string_view(bytes_).substr(begin, ends_[i] - begin);
  }

 private:
  std::string context_;
  size_t context_copies_bytes_ = 0;
  std::string bytes_;
  std::vector<size_t> ends_;  // of each example in bytes_
};

}  // namespace tflite_serving
