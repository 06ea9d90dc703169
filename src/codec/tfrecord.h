// Reading TFRecord files (tensorflow.org/tutorials/load_data/tfrecord, "TFRecords format details"). Each record is, in little-endian,
//
//   uint64 length   uint32 masked CRC-32C of the length   byte data[length]   uint32 masked CRC-32C of the data
#pragma once

#include <cstddef>
#include <cstdint>
#include <istream>
#include <string>
#include <string_view>

#include "base/status.h"

namespace tflite_serving {

// Thread-compatible.
class TfRecordReader {
 public:
  // A protobuf message is no longer.
  static constexpr uint64_t kMaxRecordBytes = (uint64_t{1} << 31) - 1;

  // `stream` must outlive the reader.
  explicit TfRecordReader(std::istream& stream) : stream_(stream) {}

  // The next record's data in `record`; false at the end of the stream. DATA_LOSS for a wrong checksum or a record cut off; RESOURCE_EXHAUSTED for
  // one beyond kMaxRecordBytes; UNKNOWN where the stream cannot be read. Memory is taken for bytes that are there, not for those that are promised.
  StatusOr<bool> Next(std::string& record);

  // Records read so far.
  size_t count() const { return count_; }

 private:
  // Reads `size` bytes, or as many as there are.
  Status Read(std::string& bytes, uint64_t size);
  Status CheckSum(std::string_view bytes, std::string_view what);

  std::istream& stream_;
  size_t count_ = 0;
};

// The checksum as the format has it: rotated, and a constant added, so that it differs from that of data which holds checksums itself.
uint32_t MaskedCrc32c(std::string_view bytes);

}  // namespace tflite_serving
