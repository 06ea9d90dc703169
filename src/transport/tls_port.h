// What the loops of one server share about TLS: whether it speaks it, by which certificates, and who did not get in.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/mutex.h"
#include "transport/asio_types.h"
#include "transport/byte_stream.h"
#include "transport/tls_context.h"
#include "transport/tls_failure.h"

namespace tflite_serving {

// Thread-safe.
class TlsPort {
 public:
  // Of failures; clients could fill the log otherwise.
  static constexpr int kMaxLinesPerSecond = 3;

  // `context`: null for a server without TLS. `name` is a literal for the log: "HTTP".
  TlsPort(const char* name, TlsProtocol protocol, std::shared_ptr<TlsContext> context)
      : name_(name), protocol_(protocol), context_(std::move(context)) {}

  // What a connection reads and writes, before its handshake. Nothing: there is no memory.
  std::optional<ByteStream> Open(Socket socket) const;

  // The client at the other end of `socket` did not get in. `detail` is for the log, after the failure's name; it may be empty.
  void CountFailure(TlsFailure failure, Socket& socket, std::string_view detail);
  uint64_t num_failures(TlsFailure failure) const { return counts_[static_cast<size_t>(failure)].load(std::memory_order_relaxed); }

 private:
  // How many lines were left out since the last; nothing: this one is to be left out too.
  std::optional<int> MayLog(TimePoint now);

  const char* const name_;
  const TlsProtocol protocol_;
  const std::shared_ptr<TlsContext> context_;
  std::array<std::atomic<uint64_t>, kTlsFailureNames.size()> counts_{};
  Mutex mutex_;
  TimePoint second_began_ TFLS_GUARDED_BY(mutex_){};
  int num_lines_ TFLS_GUARDED_BY(mutex_) = 0;  // since then
  int num_left_out_ TFLS_GUARDED_BY(mutex_) = 0;
};

}  // namespace tflite_serving
