// Decompression of what a client sent, with a bound on the result that holds before memory is used.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "base/status.h"
#include "transport/byte_buffer.h"

struct z_stream_s;  // zlib's

namespace tflite_serving {

// What one Step reads and writes at most: well below a millisecond's work.
inline constexpr size_t kInflateSliceBytes = size_t{128} << 10;

// The members of one gzip content. Even bgzip's blocks of 64 KiB make no more of 4 GiB.
inline constexpr size_t kMaxGzipMembers = size_t{1} << 16;

enum class CompressedFormat {
  kGzip,     // RFC 1952; several members, one behind the other, are one content
  kDeflate,  // RFC 1950, or, since some clients mean that by "deflate", RFC 1951 bare
};

// Inflates one content, a slice at a time, so that its thread can turn to others in between. Thread-compatible.
class Inflater {
 public:
  // `compressed` must outlive this object. More than `max_bytes` are refused.
  Inflater(CompressedFormat format, std::string_view compressed, size_t max_bytes);
  ~Inflater();

  // Appends the next bytes to `output`, which was empty at first and holds what the calls before gave; its memory grows only as it fills up.
  // `done`: that was all. INVALID_ARGUMENT: damaged, cut, or followed by something else. RESOURCE_EXHAUSTED: there is more than `max_bytes`.
  // UNAVAILABLE: there is no memory.
  Status Step(ByteBuffer& output, bool& done);

 private:
  bool MakeRoom(ByteBuffer& output) const;

  const CompressedFormat format_;
  const size_t max_bytes_;
  const size_t compressed_bytes_;
  std::string_view rest_;  // not yet inflated
  std::unique_ptr<z_stream_s> stream_;
  bool ready_;          // the stream has its memory
  size_t members_ = 1;  // of gzip, so far
};

}  // namespace tflite_serving
