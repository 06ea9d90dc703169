#include "transport/http/http_request_parser.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>

#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

#include "transport/tls_failure.h"

namespace tflite_serving {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::errc::make_error_code;
using boost::system::errc::not_enough_memory;

// A request line is a target and this much: a method, two spaces, the version and the line end. Real methods have at most 17 letters.
constexpr size_t kMaxMethodBytes = 32;
constexpr size_t kRequestLineBytes = kMaxMethodBytes + sizeof("  HTTP/1.1\r\n") - 1;

constexpr HttpRefusal kBadRequestLine = {400, "malformed HTTP request line"};
constexpr HttpRefusal kBadLineEnd = {400, "a line of the request head does not end in CR LF"};
constexpr HttpRefusal kTargetTooLong = {414, "the request target is longer than this server accepts"};
constexpr HttpRefusal kHeadTooLarge = {431, "the request head is larger than this server accepts"};
constexpr HttpRefusal kTooManyHeaders = {431, "the request has more header fields than this server accepts"};
constexpr HttpRefusal kBodyTooLarge = {413, "the request body is larger than this server accepts"};
constexpr HttpRefusal kBadFraming = {400, "conflicting or malformed Content-Length and Transfer-Encoding"};
constexpr HttpRefusal kBadChunk = {400, "malformed chunked request body"};

std::string_view View(beast::string_view s) { return {s.data(), s.size()}; }

bool IsTokenChar(char c) {
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) return true;
  return c != '\0' && std::strchr("!#$%&'*+-.^_`|~", c) != nullptr;
}

// Whether bytes can be the start of a request line; finds a TLS or binary client long before its first line end, if it ever sends one.
HttpRefusal CheckMethod(std::string_view input) {
  if (input.starts_with(kTlsFirstByte)) return {400, "this port speaks plain HTTP, not TLS"};
  const std::string_view start = input.substr(0, kMaxMethodBytes + 1);
  const size_t end = std::find_if_not(start.begin(), start.end(), IsTokenChar) - start.begin();
  if (end == start.size() && end <= kMaxMethodBytes) return {};  // not complete yet
  if (end == 0 || end > kMaxMethodBytes || start[end] != ' ') return kBadRequestLine;
  return {};
}

// "http://host:port/path?query" -> "/path?query".
std::string_view OriginForm(std::string_view target) {
  if (target.starts_with('/')) return target;
  const size_t scheme = target.find("://");
  if (scheme == std::string_view::npos) return target;
  const size_t path = target.find_first_of("/?", scheme + 3);
  return path == std::string_view::npos ? "/" : target.substr(path);
}

// Beast has one error for a word that is no version and for a version it does not speak.
HttpRefusal RefuseVersion(std::string_view head) {
  const std::string_view line = head.substr(0, head.find('\r'));
  const size_t version = line.rfind(" HTTP/");
  const bool is_version = version != std::string_view::npos && line.size() == version + sizeof(" HTTP/1.1") - 1;
  return is_version ? HttpRefusal{505, "this server speaks HTTP/1.1 and HTTP/1.0"} : kBadRequestLine;
}

}  // namespace

// Collects what the head says in place, and body bytes into the caller's buffer.
struct HttpRequestParser::Beast {
  class Parser final : public http::basic_parser<true> {
   public:
    Parser() {
      // The limits are checked around the parser, where they give the right status.
      header_limit(std::numeric_limits<std::uint32_t>::max());
      body_limit(boost::none);
      eager(true);
    }

    std::string_view method;
    std::string_view target;
    bool is_http_1_0 = false;
    bool in_body = false;
    int num_hosts = 0;
    int num_transfer_encodings = 0;
    bool transfer_encoding_is_chunked = false;
    bool expects_continue = false;
    bool expects_other = false;

    HttpFields* fields = nullptr;
    ByteBuffer* body = nullptr;
    uint64_t body_bytes = 0;  // of all chunks announced so far
    uint64_t max_body_bytes = 0;
    uint64_t num_chunks = 0;

   private:
    using ErrorCode = beast::error_code;

    void on_request_impl(http::verb, beast::string_view m, beast::string_view t, int version, ErrorCode&) override {
      method = View(m);
      target = View(t);
      is_http_1_0 = version == 10;
    }
    void on_response_impl(int, beast::string_view, int, ErrorCode&) override {}

    void on_field_impl(http::field field, beast::string_view name, beast::string_view value, ErrorCode&) override {
      if (in_body) return;  // a trailer
      if (field == http::field::host) {
        ++num_hosts;
      } else if (field == http::field::transfer_encoding) {
        ++num_transfer_encodings;
        transfer_encoding_is_chunked = beast::iequals(value, "chunked");
      } else if (field == http::field::expect) {
        (beast::iequals(value, "100-continue") ? expects_continue : expects_other) = true;
      } else if (std::string* const kept = Kept(field, name)) {
        if (!kept->empty()) *kept += ", ";
        kept->append(value.data(), value.size());
      }
    }

    std::string* Kept(http::field field, beast::string_view name) const {
      switch (field) {
        case http::field::content_type:
          return &fields->content_type;
        case http::field::content_encoding:
          return &fields->content_encoding;
        case http::field::accept:
          return &fields->accept;
        case http::field::accept_encoding:
          return &fields->accept_encoding;
        case http::field::origin:
          return &fields->origin;
        case http::field::authorization:
          return &fields->authorization;
        case http::field::unknown:
          break;
        default:
          return nullptr;
      }
      if (beast::iequals(name, "x-request-id")) return &fields->request_id;
      if (beast::iequals(name, "traceparent")) return &fields->traceparent;
      if (beast::iequals(name, "tracestate")) return &fields->tracestate;
      if (beast::iequals(name, "x-api-key")) return &fields->api_key;
      return nullptr;
    }

    void on_header_impl(ErrorCode&) override { in_body = true; }
    void on_body_init_impl(const boost::optional<std::uint64_t>&, ErrorCode&) override {}
    std::size_t on_body_impl(beast::string_view, ErrorCode&) override { return 0; }  // never fed: the connection reads such a body itself

    void on_chunk_header_impl(std::uint64_t size, beast::string_view extensions, ErrorCode& error) override {
      // Beast lets a quoted extension hold a bare LF, which another parser may take for the end of the line.
      if (extensions.find('\n') != beast::string_view::npos) {
        error = http::error::bad_chunk_extension;
      } else if (size > max_body_bytes - body_bytes) {
        error = http::error::body_limit;
      } else {
        body_bytes += size;
        ++num_chunks;
      }
    }
    std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view bytes, ErrorCode& error) override {
      if (!body->Append(View(bytes))) error = make_error_code(not_enough_memory);
      return bytes.size();
    }
    void on_finish_impl(ErrorCode&) override {}
  };

  std::optional<Parser> parser;  // of the current request
  uint64_t consumed = 0;         // chunked bytes, framing included
};

void HttpFields::Clear() {
  for (std::string* const field :
       {&content_type, &content_encoding, &accept, &accept_encoding, &origin, &request_id, &traceparent, &tracestate, &authorization, &api_key}) {
    if (field->capacity() > kMaxPooledFieldBytes) std::string().swap(*field);
    field->clear();
  }
}

HttpRequestParser::HttpRequestParser(const HttpLimits& limits) : limits_(limits), beast_(std::make_unique<Beast>()) {}
HttpRequestParser::~HttpRequestParser() = default;

HttpRefusal HttpRequestParser::FindHead(std::string_view input, size_t& head_size) {
  head_size = 0;
  if (input.empty() || input == "\r") return {};
  if (num_lines_ == 0) {
    if (const HttpRefusal refusal = CheckMethod(input)) return refusal;
  }
  while (scanned_ < input.size()) {
    const void* const found = std::memchr(input.data() + scanned_, '\n', input.size() - scanned_);
    if (found == nullptr) {
      scanned_ = input.size();
      break;
    }
    const size_t at = static_cast<size_t>(static_cast<const char*>(found) - input.data());
    scanned_ = at + 1;
    if (scanned_ > limits_.max_header_bytes) break;
    if (at == line_start_ || input[at - 1] != '\r') return kBadLineEnd;
    if (at - line_start_ == 1) {  // the blank line
      head_size = scanned_;
      scanned_ = line_start_ = num_lines_ = 0;
      return {};
    }
    line_start_ = scanned_;
    if (++num_lines_ > limits_.max_headers + 1) return kTooManyHeaders;
  }
  if (num_lines_ == 0 && scanned_ > limits_.max_target_bytes + kRequestLineBytes) return kTargetTooLong;
  if (scanned_ > limits_.max_header_bytes) return kHeadTooLarge;
  return {};
}

HttpRefusal HttpRequestParser::ParseHead(std::string_view bytes, HttpRequestHead& head, HttpFields& fields) {
  Beast::Parser& parser = beast_->parser.emplace();
  parser.fields = &fields;
  beast_->consumed = 0;
  beast::error_code error;
  parser.put(boost::asio::const_buffer(bytes.data(), bytes.size()), error);
  head = {.method = parser.method, .target = OriginForm(parser.target)};
  if (parser.target.size() > limits_.max_target_bytes) return kTargetTooLong;
  if (error == http::error::bad_version) return RefuseVersion(bytes);
  if (error == http::error::header_limit) return kHeadTooLarge;  // a folded field longer than Beast unfolds
  if (error == http::error::bad_content_length || error == http::error::multiple_content_length || error == http::error::bad_transfer_encoding) {
    return kBadFraming;
  }
  if (error || !parser.is_header_done()) return parser.method.empty() ? kBadRequestLine : HttpRefusal{400, "malformed HTTP header field"};

  head.http_1_0 = parser.is_http_1_0;
  head.keep_alive = parser.keep_alive();
  head.chunked = parser.chunked();
  head.content_length = parser.content_length().value_or(0);
  head.expects_continue = parser.expects_continue && !head.http_1_0 && (head.chunked || head.content_length > 0);
  parser.max_body_bytes = limits_.max_body_bytes;

  if (parser.num_hosts > 1) return {400, "the request has more than one Host header"};
  if (parser.num_hosts == 0 && !head.http_1_0) return {400, "the request has no Host header"};
  if (parser.num_transfer_encodings > 0) {
    if (head.http_1_0 || parser.content_length().has_value()) return kBadFraming;
    if (parser.num_transfer_encodings > 1 || !parser.transfer_encoding_is_chunked) return {501, "no Transfer-Encoding but chunked is supported"};
  }
  if (parser.expects_other) return {417, "no expectation but 100-continue is supported"};
  if (head.content_length > limits_.max_body_bytes) return kBodyTooLarge;
  head.coding = ParseContentEncoding(fields.content_encoding);
  if (head.coding == HttpCoding::kUnsupported) return {415, "no Content-Encoding but gzip and deflate is supported"};
  return {};
}

HttpRefusal HttpRequestParser::DecodeBody(std::string_view input, ByteBuffer& body, size_t& consumed, bool& done) {
  Beast::Parser& parser = *beast_->parser;
  parser.body = &body;
  beast::error_code error;
  consumed = parser.put(boost::asio::const_buffer(input.data(), input.size()), error);
  beast_->consumed += consumed;
  done = parser.is_done();
  if (error == http::error::body_limit) return kBodyTooLarge;
  if (error == make_error_code(not_enough_memory)) return kOutOfMemory;
  if (error && error != http::error::need_more) return kBadChunk;
  if (done) return {};
  // What is left of the input is the beginning of a chunk's header or of the trailers.
  const uint64_t framing = beast_->consumed - body.size() + (input.size() - consumed);
  if (framing > parser.num_chunks * kChunkOverheadBytes + kMaxChunkOverheadBytes) return kBadChunk;
  return {};
}

}  // namespace tflite_serving
