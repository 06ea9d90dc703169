// Content codings (RFC 9110, 8.4): which one a message has or may have, request bodies inflated, response bodies compressed.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "transport/byte_buffer.h"
#include "transport/http_refusal.h"

struct z_stream_s;  // zlib's

namespace tflite_serving {

enum class HttpCoding { kIdentity, kGzip, kDeflate, kUnsupported };

// Of a request's Content-Encoding, "" if it has none: gzip or x-gzip, deflate, identity. What is anything else, or several codings, is kUnsupported.
HttpCoding ParseContentEncoding(std::string_view value);

// Whether Accept-Encoding, "" if the request has none, lets a response be gzip and does not like identity better.
bool AcceptsGzip(std::string_view value);

// Inflates one body, a slice at a time, so that its thread can turn to others in between. For "deflate" it takes zlib's format and, since some
// clients mean that, a bare deflate stream. Thread-compatible.
class HttpInflater {
 public:
  // `coding` is kGzip or kDeflate; `encoded`, not empty, must outlive this object. More than `max_bytes` are refused.
  HttpInflater(HttpCoding coding, std::string_view encoded, size_t max_bytes);
  ~HttpInflater();

  // Appends the next bytes, at most kInflateSliceBytes, to `body`, which holds what the calls before gave and whose memory grows only as it fills up.
  // `done`: that was all. Refuses with 400 what is no such data, with 413 what is too large, with 503 for want of memory.
  HttpRefusal Inflate(ByteBuffer& body, bool& done);

 private:
  bool MakeRoom(ByteBuffer& body) const;

  const HttpCoding coding_;
  const size_t max_bytes_;
  const size_t encoded_bytes_;
  std::string_view rest_;  // not yet inflated
  std::unique_ptr<z_stream_s> stream_;
  bool ready_;          // the stream has its memory
  size_t members_ = 1;  // of gzip, so far
};

// `body` as gzip into `out`, whose memory is reused. False: it would not be smaller, or there is no memory; `out` is unspecified. Thread-safe.
bool Gzip(std::string_view body, std::string& out);

}  // namespace tflite_serving
