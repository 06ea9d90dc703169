// For tests, benchmarks and the fuzzer: a JSON text with the zero bytes behind it that the decoder may read.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "codec/json_numbers.h"

namespace tflite_serving {

class PaddedDocument {
 public:
  // The allocation ends where the padding ends, so that AddressSanitizer notices a read behind it.
  explicit PaddedDocument(std::string_view text) : bytes_(text.size() + kJsonPaddingBytes), size_(text.size()) {
    text.copy(bytes_.data(), text.size());
  }

  std::span<char> body() { return {bytes_.data(), size_}; }
  std::string_view text() const { return {bytes_.data(), size_}; }

 private:
  std::vector<char> bytes_;
  size_t size_;
};

}  // namespace tflite_serving
