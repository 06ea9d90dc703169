#include "transport/inflate.h"

#define ZLIB_CONST  // zlib reads its input only
#include <zlib.h>

#include <algorithm>

#include <fmt/format.h>

namespace tflite_serving {
namespace {

// What inflateInit2 calls the three formats.
constexpr int kZlibFormat = 15;
constexpr int kGzipFormat = 16 + 15;
constexpr int kBareFormat = -15;

// Contents usually inflate to less than this many times their size; the first memory is made for that, between these bounds.
constexpr size_t kUsualRatio = 4;
constexpr size_t kLeastFirstBytes = size_t{4} << 10;
constexpr size_t kMostFirstBytes = size_t{1} << 20;

// zlib's two bytes before a deflate stream: method 8, a window that exists, a checksum. No encoder begins a bare stream like this.
bool HasZlibHeader(std::string_view bytes) {
  if (bytes.size() < 2) return false;
  const auto first = static_cast<unsigned char>(bytes[0]);
  const auto second = static_cast<unsigned char>(bytes[1]);
  return (first & 0x0f) == 8 && first >> 4 <= 7 && (first * 256 + second) % 31 == 0;
}

int WindowBits(CompressedFormat format, std::string_view compressed) {
  if (format == CompressedFormat::kGzip) return kGzipFormat;
  return HasZlibHeader(compressed) ? kZlibFormat : kBareFormat;
}

Status Corrupt() { return InvalidArgumentError("it is not valid gzip or deflate data"); }
Status NoMemory() { return UnavailableError("there is no memory to inflate it"); }

}  // namespace

Inflater::Inflater(CompressedFormat format, std::string_view compressed, size_t max_bytes)
    : format_(format),
      max_bytes_(max_bytes),
      compressed_bytes_(compressed.size()),
      rest_(compressed),
      stream_(std::make_unique<z_stream>()),
      ready_(inflateInit2(stream_.get(), WindowBits(format, compressed)) == Z_OK) {}

Inflater::~Inflater() {
  if (ready_) inflateEnd(stream_.get());
}

// The buffer may hold one byte more than is allowed: that one is the proof that there is more.
bool Inflater::MakeRoom(ByteBuffer& output) const {
  if (!output.room().empty()) return true;
  const size_t wanted = output.empty() ? std::clamp(kUsualRatio * compressed_bytes_, kLeastFirstBytes, kMostFirstBytes) : output.size();
  return output.MakeRoom(std::min(wanted, max_bytes_ + 1 - output.size()));
}

Status Inflater::Step(ByteBuffer& output, bool& done) {
  done = false;
  if (!ready_ || !MakeRoom(output)) return NoMemory();
  const size_t given = std::min(rest_.size(), kInflateSliceBytes);
  const size_t room = std::min({output.room().size(), kInflateSliceBytes, max_bytes_ + 1 - output.size()});
  stream_->next_in = reinterpret_cast<const Bytef*>(rest_.data());
  stream_->avail_in = static_cast<uInt>(given);
  stream_->next_out = reinterpret_cast<Bytef*>(output.room().data());
  stream_->avail_out = static_cast<uInt>(room);
  const int result = inflate(stream_.get(), Z_NO_FLUSH);
  rest_.remove_prefix(given - stream_->avail_in);
  output.Commit(room - stream_->avail_out);

  if (output.size() > max_bytes_) return ResourceExhaustedError(fmt::format("it is larger than {} bytes when inflated", max_bytes_));
  switch (result) {
    case Z_STREAM_END:
      done = rest_.empty();
      if (done) return OkStatus();
      if (format_ != CompressedFormat::kGzip || ++members_ > kMaxGzipMembers || inflateReset(stream_.get()) != Z_OK) return Corrupt();
      return OkStatus();
    case Z_OK:
    case Z_BUF_ERROR: {
      const bool needs_more = rest_.empty() && stream_->avail_out > 0;
      return needs_more ? Corrupt() : OkStatus();
    }
    case Z_MEM_ERROR:
      return NoMemory();
    default:
      return Corrupt();
  }
}

}  // namespace tflite_serving
