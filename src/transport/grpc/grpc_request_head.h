// The header fields of one gRPC request: what the protocol says with them, and the client's own metadata.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "transport/grpc/grpc_protocol.h"

namespace tflite_serving {

// Why a request is not served: an HTTP status for what is no gRPC, otherwise 200 and a gRPC status.
struct GrpcRefusal {
  int http_status = 200;
  Status status;

  explicit operator bool() const { return http_status != 200 || !status.ok(); }
};

// Keeps its memory from request to request. Thread-compatible.
class GrpcRequestHead {
 public:
  void Clear();
  // One field, in the order of arrival; its name in lower case, as HTTP/2 has it. What is past `max_bytes` in all is dropped, and Check refuses then.
  void Add(std::string_view name, std::string_view value, size_t max_bytes);
  // The names and values so far and 32 for each, as HTTP/2 counts, those that were dropped included.
  size_t size_bytes() const { return size_bytes_; }

  // 405: not a POST. 415: not of type application/grpc. INTERNAL: a grpc-timeout that is none. UNIMPLEMENTED: an unknown grpc-encoding.
  // RESOURCE_EXHAUSTED: too large. A missing `te: trailers` is no reason: proxies drop it, and trailers arrive or do not.
  GrpcRefusal Check(size_t max_bytes) const;

  std::string_view path() const { return path_; }
  GrpcEncoding encoding() const { return encoding_.value_or(GrpcEncoding::kIdentity); }
  bool has_unknown_encoding() const { return !encoding_.has_value(); }
  // None: the client set no time limit.
  const std::optional<std::chrono::nanoseconds>& timeout() const { return timeout_; }
  // The value of the first field of this name that gRPC does not use itself; empty: there is none.
  std::string_view metadata(std::string_view name) const;

 private:
  struct Field {
    uint32_t name_size;
    uint32_t value_size;
  };

  void AddPseudo(std::string_view name, std::string_view value);
  void AddReserved(std::string_view name, std::string_view value);

  size_t size_bytes_ = 0;
  bool is_post_ = false;
  bool is_grpc_ = false;
  bool bad_timeout_ = false;
  std::optional<std::chrono::nanoseconds> timeout_;
  std::optional<GrpcEncoding> encoding_ = GrpcEncoding::kIdentity;
  std::string path_;
  std::string unusual_;  // the grpc-timeout or grpc-encoding that Check complains of
  std::string text_;     // of fields_, one after the other
  std::vector<Field> fields_;
};

}  // namespace tflite_serving
