#include "transport/inflate.h"

#include <zlib.h>

#include <algorithm>
#include <climits>
#include <limits>

#include <fmt/format.h>

namespace tflite_serving {
namespace {

constexpr int kGzipOrZlib = MAX_WBITS + 32;  // zlib's way to say: by the first bytes
constexpr size_t kFirstOutputBytes = size_t{16} << 10;

class Stream {
 public:
  Stream() : ready_(::inflateInit2(&stream_, kGzipOrZlib) == Z_OK) {}
  ~Stream() {
    if (ready_) ::inflateEnd(&stream_);
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  bool ready() const { return ready_; }
  z_stream& operator*() { return stream_; }

 private:
  z_stream stream_{};
  const bool ready_;
};

Status NoMemory() { return UnavailableError("there is no memory to decompress"); }
Status TooLarge(size_t max_bytes) { return ResourceExhaustedError(fmt::format("it is larger than {} bytes when decompressed", max_bytes)); }

}  // namespace

Status Inflate(std::string_view compressed, size_t max_bytes, ByteBuffer& output) {
  Stream stream;
  if (!stream.ready()) return NoMemory();
  z_stream& z = *stream;
  size_t size = 0;
  while (true) {
    if (z.avail_in == 0) {  // zlib counts in 32 bits
      const size_t step = std::min<size_t>(compressed.size(), std::numeric_limits<uInt>::max());
      z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(compressed.data()));
      z.avail_in = static_cast<uInt>(step);
      compressed.remove_prefix(step);
    }
    // One byte past the limit tells whether there is more.
    const size_t allowed = size < max_bytes ? max_bytes - size : 1;
    if (output.room().empty() && !output.MakeRoom(std::min(allowed, std::max(kFirstOutputBytes, size)))) {
      return NoMemory();
    }
    const size_t room = std::min({output.room().size(), allowed, size_t{INT_MAX}});
    z.next_out = reinterpret_cast<Bytef*>(output.room().data());
    z.avail_out = static_cast<uInt>(room);
    const int result = ::inflate(&z, Z_NO_FLUSH);
    const size_t got = room - z.avail_out;
    if (size + got > max_bytes) return TooLarge(max_bytes);
    output.Commit(got);
    size += got;
    if (result == Z_STREAM_END) break;
    if (result != Z_OK && (result != Z_BUF_ERROR || (z.avail_in == 0 && compressed.empty()))) {
      return InvalidArgumentError("it is not a whole gzip or zlib stream");
    }
  }
  if (z.avail_in > 0 || !compressed.empty()) return InvalidArgumentError("something follows the compressed stream");
  return OkStatus();
}

}  // namespace tflite_serving
