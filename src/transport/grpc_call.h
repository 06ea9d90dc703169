// One unary gRPC call, as the gRPC server hands it to the API: bytes in, a status and bytes out. Nothing here knows which library carries it.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/cancellation.h"
#include "base/clock.h"
#include "base/status.h"
#include "transport/call_ids.h"

namespace tflite_serving {

// Thread-compatible: whoever holds it may use it, one thread at a time.
class GrpcCall {
 public:
  virtual ~GrpcCall() = default;

  // The serialized request message, decompressed, in pieces that follow each other; the gRPC server has it in one. 64 bytes behind each piece may
  // be read. Valid until Finish.
  virtual std::span<const std::span<const std::byte>> request() const = 0;
  size_t request_size_bytes() const {
    size_t size = 0;
    for (const auto piece : request()) size += piece.size();
    return size;
  }

  // `byte` is one of request(): the connection's next requests, if they are like this one, will have it at a multiple of 64. Before Finish.
  virtual void AlignNext(const std::byte* byte) = 0;

  // The value of the request's metadata `key`, an ASCII name in lower case ("x-dequantize"), the first if it is there several times; empty if it is
  // not. Names that gRPC uses itself are not to be seen. Valid until Finish.
  virtual std::string_view metadata(std::string_view key) const = 0;

  // What goes back with the reply. Before Finish.
  virtual CallIds& ids() = 0;

  // The client's deadline; kNoDeadline if it set none.
  virtual TimePoint deadline() const = 0;
  // Set once the client went away or gave up. Valid until Finish.
  virtual const Cancellation& cancellation() const = 0;

  // Counts so many bytes, which the call takes beside its message, until Finish. UNAVAILABLE when too many are in flight.
  virtual Status Hold(size_t bytes) = 0;

  // Memory for a serialized reply of exactly `size_bytes`, less than 4 GiB, to be filled before Finish; at most once. 8-byte aligned.
  virtual std::span<std::byte> AllocateReply(size_t size_bytes) = 0;

  // Ends the call, with the reply if `status` is OK. Exactly once, from any thread; the call must not be touched afterwards.
  virtual void Finish(const Status& status) = 0;
};

// Thread-safe. Runs on a thread of the gRPC server: what takes long belongs onto a worker, which then calls Finish.
using GrpcHandler = std::function<void(GrpcCall& call)>;

struct GrpcMethod {
  std::string path;  // "/tensorflow.serving.PredictionService/Predict"
  GrpcHandler handler;
};

}  // namespace tflite_serving
