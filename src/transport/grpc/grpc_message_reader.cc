#include "transport/grpc/grpc_message_reader.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "transport/grpc/grpc_limits.h"
#include "transport/inflate.h"

namespace tflite_serving {
namespace {}  // namespace

void GrpcMessageReader::Begin(GrpcEncoding encoding, size_t max_message_bytes, size_t aligned_byte) {
  aligned_byte_ = aligned_byte;
  encoding_ = encoding;
  max_message_bytes_ = max_message_bytes;
  Next();
}

void GrpcMessageReader::Next() {
  prefix_size_ = 0;
  complete_ = inflated_ = false;
  input_.Clear();
  output_.Clear();
}

void GrpcMessageReader::Free() {
  input_.Free();
  output_.Free();
}

Status GrpcMessageReader::Read(std::string_view& bytes) {
  if (prefix_size_ < kPrefixBytes) {
    const size_t step = std::min(kPrefixBytes - prefix_size_, bytes.size());
    std::memcpy(prefix_.data() + prefix_size_, bytes.data(), step);
    prefix_size_ += step;
    bytes.remove_prefix(step);
    if (prefix_size_ < kPrefixBytes) return OkStatus();
    TFLS_RETURN_IF_ERROR(ReadPrefix());
  }
  const size_t missing = this->missing();
  const std::string_view mine = bytes.substr(0, missing);
  if (input_.room().size() < mine.size() && !input_.MakeRoom(std::min(missing, std::max(input_.size(), mine.size())))) return NoRoomInFlight();
  if (!input_.Append(mine)) return NoRoomInFlight();
  bytes.remove_prefix(mine.size());
  return mine.size() == missing ? Complete() : OkStatus();
}

Status GrpcMessageReader::ReadPrefix() {
  const auto flag = static_cast<unsigned char>(prefix_[0]);
  if (flag > 1) return InternalError(fmt::format("a message begins with the byte {}, expected 0 (plain) or 1 (compressed)", flag));
  compressed_ = flag == 1;
  if (compressed_ && encoding_ == GrpcEncoding::kIdentity) return InternalError("a message is compressed, and the header grpc-encoding names no way");
  size_ = 0;
  for (size_t i = 1; i < kPrefixBytes; ++i) size_ = size_ << 8 | static_cast<unsigned char>(prefix_[i]);
  if (size_ > max_message_bytes_) {
    return ResourceExhaustedError(fmt::format("Received message larger than max ({} vs. {})", size_, max_message_bytes_));
  }
  return input_.MakeAlignedRoom(std::min(size_, kFirstMessageBytes), aligned_byte_) ? OkStatus() : NoRoomInFlight();
}

Status GrpcMessageReader::Complete() {
  complete_ = true;
  if (!compressed_) return OkStatus();
  inflated_ = true;
  const CompressedFormat format = encoding_ == GrpcEncoding::kGzip ? CompressedFormat::kGzip : CompressedFormat::kDeflate;
  Inflater inflater(format, input_.view(), std::min(max_message_bytes_, kMaxInflatedBytes));
  Status status;
  for (bool done = false; status.ok() && !done;) status = inflater.Step(output_, done);
  if (status.code() == StatusCode::kResourceExhausted) {
    return ResourceExhaustedError(fmt::format("Received message larger than max ({})", status.message()));
  }
  if (status.code() == StatusCode::kInvalidArgument) return InternalError(fmt::format("a compressed message cannot be read: {}", status.message()));
  return status.code() == StatusCode::kUnavailable ? NoRoomInFlight() : status;
}

}  // namespace tflite_serving
