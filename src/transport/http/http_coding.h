// Content codings (RFC 9110, 8.4): which one a message has or may have, and compression of response bodies.
#pragma once

#include <string>
#include <string_view>

namespace tflite_serving {

enum class HttpCoding { kIdentity, kGzip, kDeflate, kUnsupported };

// Of a request's Content-Encoding, "" if it has none: gzip or x-gzip, deflate, identity. What is anything else, or several codings, is kUnsupported.
HttpCoding ParseContentEncoding(std::string_view value);

// Whether Accept-Encoding, "" if the request has none, lets a response be gzip and does not like identity better.
bool AcceptsGzip(std::string_view value);

// `body` as gzip into `out`, whose memory is reused. False: it would not be smaller, or there is no memory; `out` is unspecified. Thread-safe.
bool Gzip(std::string_view body, std::string& out);

}  // namespace tflite_serving
