// CRC-32C (Castagnoli), the checksum of TFRecord files: RFC 3720, appendix B.4 has test vectors.
#pragma once

#include <cstdint>
#include <string_view>

namespace tflite_serving {

// Of all bytes.
uint32_t Crc32c(std::string_view bytes);

}  // namespace tflite_serving
