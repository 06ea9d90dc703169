// The open connections of one server: how many there are, and how many of each address.
#pragma once

#include <sys/socket.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/mutex.h"
#include "base/unique_fd.h"
#include "transport/client_log.h"

namespace tflite_serving {

// When so many connections less are open than there were once, and at most half of them, the memory that they have freed is given to the system.
inline constexpr size_t kTrimAfterClosed = 512;

// What one client can have addresses of: an IPv4 address, or an IPv6 prefix of 64 bits. Nothing for another family, and for a client without a name.
std::optional<uint64_t> ClientNetwork(const sockaddr_storage& address);

// Thread-safe. Must outlive its places.
class OpenConnections {
 public:
  // `max_per_address` of 0: any number.
  explicit OpenConnections(size_t max_per_address) : max_per_address_(max_per_address) {}

  // A connection's, until it is destroyed.
  class Place {
   public:
    Place() = default;
    Place(Place&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)), network_(other.network_) {}
    Place& operator=(Place&& other) noexcept {
      std::swap(owner_, other.owner_);
      std::swap(network_, other.network_);
      return *this;
    }
    ~Place() {
      if (owner_ != nullptr) owner_->Leave(network_);
    }

   private:
    friend OpenConnections;
    Place(OpenConnections& owner, std::optional<uint64_t> network) : owner_(&owner), network_(network) {}

    OpenConnections* owner_ = nullptr;
    std::optional<uint64_t> network_;
  };

  // For a client at `address`. Nothing, which is counted: it has as many connections as an address may have.
  std::optional<Place> Enter(const sockaddr_storage& address);

  size_t max_per_address() const { return max_per_address_; }
  // For those.
  ClientLog& log() { return log_; }
  // Connections for which there was no place, since the start.
  uint64_t num_refused() const { return num_refused_.load(std::memory_order_relaxed); }

 private:
  void Leave(std::optional<uint64_t> network);

  const size_t max_per_address_;
  std::atomic<uint64_t> num_refused_ = 0;
  std::atomic<size_t> num_open_ = 0;
  std::atomic<size_t> most_open_ = 0;  // since memory was last given back
  ClientLog log_;
  Mutex mutex_;
  std::unordered_map<uint64_t, size_t> open_by_network_ TFLS_GUARDED_BY(mutex_);  // empty without a limit
};

// What a listening socket has brought.
struct AcceptedSocket {
  UniqueFd fd;
  OpenConnections::Place place;
};

}  // namespace tflite_serving
