#include "example/serialized_examples.h"

#include <fmt/format.h>

namespace tflite_serving {

void SerializedExamples::Clear() {
  context_.clear();
  context_copies_bytes_ = 0;
  bytes_.clear();
  ends_.clear();
}

void SerializedExamples::SetContext(std::string_view context) { context_ = context; }

Status SerializedExamples::Add(std::string_view example) {
  context_copies_bytes_ += context_.size();
  if (context_copies_bytes_ > kMaxContextCopiesBytes) {
    return ResourceExhaustedError(fmt::format("the context of {} bytes is repeated for more than {} examples, which takes more than {} bytes",
                                              context_.size(), size(), kMaxContextCopiesBytes));
  }
  bytes_ += context_;
  bytes_ += example;
  ends_.push_back(bytes_.size());
  return OkStatus();
}

}  // namespace tflite_serving
