// From bytes to one HTTP/1.1 request: finds the end of the head, checks it, and decodes a chunked body. Knows nothing of sockets.
//
// The grammar is RFC 9112's, read strictly by Boost.Beast's parser (which no header here shows). What Beast leaves to its user is checked here:
// exactly one Host, no Transfer-Encoding other than "chunked", no framing that two parsers could read differently, and every limit of HttpLimits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "transport/byte_buffer.h"
#include "transport/http/http_coding.h"
#include "transport/http/http_limits.h"
#include "transport/http/http_refusal.h"

namespace tflite_serving {

// The values of the header fields that somebody reads later, empty for one that the request lacks; of several fields of one name, joined by ", ".
struct HttpFields {
  std::string content_type;
  std::string content_encoding;
  std::string accept;
  std::string accept_encoding;
  std::string origin;
  std::string request_id;
  std::string traceparent;
  std::string tracestate;
  std::string authorization;
  std::string api_key;

  // Keeps the memory of each up to kMaxPooledFieldBytes.
  void Clear();
};

// What the head says. The views point into the bytes given to ParseHead.
struct HttpRequestHead {
  std::string_view method;
  std::string_view target;  // in origin form: the scheme and authority of "http://host/path" are dropped
  bool http_1_0 = false;
  bool keep_alive = true;
  bool expects_continue = false;  // sent "Expect: 100-continue" and a body
  bool chunked = false;
  uint64_t content_length = 0;                // at most HttpLimits::max_body_bytes
  HttpCoding coding = HttpCoding::kIdentity;  // of the body
};

// For one connection, which calls FindHead until it has a head, then ParseHead, then for a chunked body DecodeBody until it is done, and starts
// again. Thread-compatible. Allocates nothing after its construction.
class HttpRequestParser {
 public:
  explicit HttpRequestParser(const HttpLimits& limits);
  ~HttpRequestParser();

  // Looks for the blank line that ends a head. `input` holds the request's bytes so far: what the last call was given and more. Sets `head_size` to
  // the size of the head, its last line end included, or to 0 if more bytes are needed. Refuses as soon as `input` cannot become a request within the
  // limits.
  HttpRefusal FindHead(std::string_view input, size_t& head_size);

  // `bytes`: exactly one head, as FindHead found it. `fields` are empty before.
  HttpRefusal ParseHead(std::string_view bytes, HttpRequestHead& head, HttpFields& fields);

  // After a head with `chunked`: decodes chunks from the front of `input` into `body` and sets `consumed` to what it used; the rest has to be given
  // again, with more. `done`: the body is complete. Trailers are checked and dropped.
  HttpRefusal DecodeBody(std::string_view input, ByteBuffer& body, size_t& consumed, bool& done);

 private:
  struct Beast;

  const HttpLimits& limits_;
  size_t scanned_ = 0;     // bytes of `input` that FindHead has seen
  size_t line_start_ = 0;  // where the line it is in begins
  size_t num_lines_ = 0;   // complete lines before that
  std::unique_ptr<Beast> beast_;
};

}  // namespace tflite_serving
