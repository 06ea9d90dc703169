// What clients do wrong, in the log: a few lines a second, since they could fill it otherwise.
#pragma once

#include <sys/socket.h>

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/mutex.h"
#include "telemetry/log.h"

namespace tflite_serving {

// "192.0.2.1:4711", "[2001:db8::1]:4711", "a Unix socket"; "a client" for what has no name.
std::string PeerName(const sockaddr_storage& address);

// Thread-safe.
class ClientLog {
 public:
  static constexpr int kMaxLinesPerSecond = 3;

  // Left out if this second has its lines, of whatever level; the next line says how many were.
  void Write(LogLevel level, std::string_view text);

 private:
  Mutex mutex_;
  TimePoint second_began_ TFLS_GUARDED_BY(mutex_){};
  int num_lines_ TFLS_GUARDED_BY(mutex_) = 0;  // since then
  int num_left_out_ TFLS_GUARDED_BY(mutex_) = 0;
};

}  // namespace tflite_serving
