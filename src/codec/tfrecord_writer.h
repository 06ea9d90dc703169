// The bytes of TFRecord files.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "codec/tfrecord.h"

namespace tflite_serving {

inline std::string WithMaskedCrc(std::string_view bytes) {
  const uint32_t sum = MaskedCrc32c(bytes);
  return std::string(bytes) + std::string(reinterpret_cast<const char*>(&sum), sizeof(sum));
}

// One record.
inline std::string TfRecord(std::string_view data) {
  const uint64_t length = data.size();
  return WithMaskedCrc({reinterpret_cast<const char*>(&length), sizeof(length)}) + WithMaskedCrc(data);
}

}  // namespace tflite_serving
