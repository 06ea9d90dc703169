// Which method serves a path.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/status.h"
#include "transport/grpc_call.h"
#include "transport/grpc_stream_call.h"

namespace tflite_serving {

// Immutable.
class GrpcMethods {
 public:
  // One of them is set.
  struct Entry {
    GrpcHandler handler;
    GrpcStreamOpener open;
  };

  // INVALID_ARGUMENT: a path is not "/package.Service/Method", or is there twice.
  static StatusOr<GrpcMethods> Create(const std::vector<GrpcMethod>& unary, const std::vector<GrpcStreamMethod>& streaming);

  // Null: nobody serves it.
  const Entry* Find(std::string_view path) const;
  // What to answer then, in grpc-go's words.
  Status Unknown(std::string_view path) const;

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };

  Status Add(const std::string& path, Entry entry);

  std::unordered_map<std::string, Entry, Hash, std::equal_to<>> entries_;
};

}  // namespace tflite_serving
