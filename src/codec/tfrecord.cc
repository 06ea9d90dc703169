#include "codec/tfrecord.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include <fmt/format.h>

#include "base/crc32c.h"

namespace tflite_serving {
namespace {

constexpr uint32_t kMaskDelta = 0xA282EAD8;
constexpr uint64_t kChunkBytes = uint64_t{1} << 20;

template <typename T>
T Number(const std::string& bytes) {
  T value{};
  std::memcpy(&value, bytes.data(), sizeof(value));
  return value;
}

}  // namespace

uint32_t MaskedCrc32c(std::string_view bytes) { return std::rotr(Crc32c(bytes), 15) + kMaskDelta; }

Status TfRecordReader::Read(std::string& bytes, uint64_t size) {
  bytes.clear();
  while (bytes.size() < size && !stream_.eof()) {
    const size_t before = bytes.size();
    bytes.resize(before + std::min(size - before, kChunkBytes));
    stream_.read(bytes.data() + before, static_cast<std::streamsize>(bytes.size() - before));
    bytes.resize(before + static_cast<size_t>(stream_.gcount()));
    if (stream_.bad() || (stream_.fail() && !stream_.eof())) return UnknownError(fmt::format("record {} cannot be read", count_));
  }
  return OkStatus();
}

Status TfRecordReader::CheckSum(std::string_view bytes, std::string_view what) {
  std::string sum;
  TFLS_RETURN_IF_ERROR(Read(sum, sizeof(uint32_t)));
  if (sum.size() < sizeof(uint32_t)) return DataLossError(fmt::format("record {} ends in the checksum of its {}", count_, what));
  const auto found = Number<uint32_t>(sum);
  if (found == MaskedCrc32c(bytes)) return OkStatus();
  return DataLossError(
      fmt::format("record {}: the checksum of its {} is {:08x}, where the file has {:08x}", count_, what, MaskedCrc32c(bytes), found));
}

StatusOr<bool> TfRecordReader::Next(std::string& record) {
  std::string length_bytes;
  TFLS_RETURN_IF_ERROR(Read(length_bytes, sizeof(uint64_t)));
  if (length_bytes.empty()) return false;
  if (length_bytes.size() < sizeof(uint64_t)) return DataLossError(fmt::format("record {} ends in its length", count_));
  TFLS_RETURN_IF_ERROR(CheckSum(length_bytes, "length"));
  const auto length = Number<uint64_t>(length_bytes);
  if (length > kMaxRecordBytes) {
    return ResourceExhaustedError(fmt::format("record {} has {} bytes, where {} are allowed", count_, length, kMaxRecordBytes));
  }
  TFLS_RETURN_IF_ERROR(Read(record, length));
  if (record.size() < length) return DataLossError(fmt::format("record {} has {} of its {} bytes", count_, record.size(), length));
  TFLS_RETURN_IF_ERROR(CheckSum(record, "data"));
  ++count_;
  return true;
}

}  // namespace tflite_serving
