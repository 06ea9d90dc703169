// What the loops of one server share about TLS: whether it speaks it, by which certificates, and who did not get in.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "transport/asio_types.h"
#include "transport/byte_stream.h"
#include "transport/client_log.h"
#include "transport/open_connections.h"
#include "transport/tls_context.h"
#include "transport/tls_failure.h"

namespace tflite_serving {

// Thread-safe.
class TlsPort {
 public:
  // `context`: null for a server without TLS. `name` is a literal for the log: "HTTP".
  TlsPort(const char* name, TlsProtocol protocol, std::shared_ptr<TlsContext> context)
      : name_(name), protocol_(protocol), context_(std::move(context)) {}

  // What a new connection on `io` reads and writes, before its handshake. Nothing, which is logged: there is no memory or no descriptor for it.
  std::optional<ByteStream> Open(AcceptedSocket accepted, asio::io_context& io) const;

  // The client at the other end of `socket` did not get in. `detail` is for the log, after the failure's name; it may be empty.
  void CountFailure(TlsFailure failure, Socket& socket, std::string_view detail);
  uint64_t num_failures(TlsFailure failure) const { return counts_[static_cast<size_t>(failure)].load(std::memory_order_relaxed); }

 private:
  const char* const name_;
  const TlsProtocol protocol_;
  const std::shared_ptr<TlsContext> context_;
  std::array<std::atomic<uint64_t>, kTlsFailureNames.size()> counts_{};
  ClientLog log_;
};

}  // namespace tflite_serving
