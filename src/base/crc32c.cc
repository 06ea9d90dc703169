#include "base/crc32c.h"

#include <array>

namespace tflite_serving {
namespace {

constexpr uint32_t kPolynomial = 0x82F63B78;  // bits reversed
constexpr uint32_t kAllOnes = 0xFFFFFFFF;

constexpr std::array<uint32_t, 256> kTable = [] {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < table.size(); ++byte) {
    uint32_t remainder = byte;
    for (int bit = 0; bit < 8; ++bit) remainder = (remainder >> 1) ^ ((remainder & 1) != 0 ? kPolynomial : 0);
    table[byte] = remainder;
  }
  return table;
}();

}  // namespace

uint32_t Crc32c(std::string_view bytes) {
  uint32_t remainder = kAllOnes;
  for (const char byte : bytes) remainder = (remainder >> 8) ^ kTable[(remainder ^ static_cast<unsigned char>(byte)) & 0xFF];
  return remainder ^ kAllOnes;
}

}  // namespace tflite_serving
