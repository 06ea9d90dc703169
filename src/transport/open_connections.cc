#include "transport/open_connections.h"

#include <endian.h>
#include <malloc.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

namespace tflite_serving {
namespace {

// In the place of a prefix that is for multicast, and so nobody's.
constexpr uint64_t kIpv4 = 0xffff'0000'0000'0000;

}  // namespace

std::optional<uint64_t> ClientNetwork(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address, sizeof(v4));
    return kIpv4 | ntohl(v4.sin_addr.s_addr);
  }
  if (address.ss_family != AF_INET6) return std::nullopt;
  sockaddr_in6 v6{};
  std::memcpy(&v6, &address, sizeof(v6));
  const uint8_t* const bytes = v6.sin6_addr.s6_addr;
  if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
    uint32_t v4 = 0;
    std::memcpy(&v4, bytes + 12, sizeof(v4));
    return kIpv4 | ntohl(v4);
  }
  uint64_t prefix = 0;
  std::memcpy(&prefix, bytes, sizeof(prefix));
  return be64toh(prefix);
}

std::optional<OpenConnections::Place> OpenConnections::Enter(const sockaddr_storage& address) {
  std::optional<uint64_t> network;
  if (max_per_address_ > 0) network = ClientNetwork(address);
  if (network) {
    const MutexLock lock(mutex_);
    size_t& open = open_by_network_[*network];
    if (open >= max_per_address_) {
      num_refused_.fetch_add(1, std::memory_order_relaxed);
      return std::nullopt;
    }
    ++open;
  }
  const size_t open = num_open_.fetch_add(1, std::memory_order_relaxed) + 1;
  size_t most = most_open_.load(std::memory_order_relaxed);
  while (open > most && !most_open_.compare_exchange_weak(most, open, std::memory_order_relaxed)) {
  }
  return Place(*this, network);
}

void OpenConnections::Leave(std::optional<uint64_t> network) {
  if (network) {
    const MutexLock lock(mutex_);
    const auto open = open_by_network_.find(*network);
    if (--open->second == 0) open_by_network_.erase(open);
  }
  const size_t open = num_open_.fetch_sub(1, std::memory_order_relaxed) - 1;
  size_t most = most_open_.load(std::memory_order_relaxed);
  if (most < open + kTrimAfterClosed || open > most / 2) return;
  if (most_open_.compare_exchange_strong(most, open, std::memory_order_relaxed)) ::malloc_trim(0);
}

}  // namespace tflite_serving
