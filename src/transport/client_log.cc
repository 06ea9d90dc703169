#include "transport/client_log.h"

#include <netdb.h>

#include <utility>

#include <fmt/format.h>

namespace tflite_serving {
namespace {

constexpr std::string_view kMappedIpv4 = "::ffff:";  // which a socket for both families makes of an IPv4 address

}  // namespace

std::string PeerName(const sockaddr_storage& address) {
  char host[NI_MAXHOST];
  char port[NI_MAXSERV];
  if (address.ss_family == AF_UNIX) return "a Unix socket";
  const int error = ::getnameinfo(reinterpret_cast<const sockaddr*>(&address), sizeof(address), host, sizeof(host), port, sizeof(port),
                                  NI_NUMERICHOST | NI_NUMERICSERV);
  if (error != 0) return "a client";
  std::string_view name = host;
  if (name.starts_with(kMappedIpv4) && name.find('.') != std::string_view::npos) name.remove_prefix(kMappedIpv4.size());
  return name.find(':') == std::string_view::npos ? fmt::format("{}:{}", name, port) : fmt::format("[{}]:{}", name, port);
}

void ClientLog::Write(LogLevel level, std::string_view text) {
  if (!LogEnabled(level)) return;
  const TimePoint now = Clock::Steady().Now();
  int left_out = 0;
  {
    const MutexLock lock(mutex_);
    if (now - second_began_ >= std::chrono::seconds(1)) {
      second_began_ = now;
      num_lines_ = 0;
    }
    if (num_lines_ >= kMaxLinesPerSecond) {
      ++num_left_out_;
      return;
    }
    ++num_lines_;
    left_out = std::exchange(num_left_out_, 0);
  }
  TFLS_LOG(level, "{}{}", text, left_out == 0 ? "" : fmt::format(" ({} others before it are not in the log)", left_out));
}

}  // namespace tflite_serving
