// How many bytes of requests and replies a server may hold at once, whatever the number of its clients.
#pragma once

#include <atomic>
#include <cstddef>
#include <limits>
#include <utility>

#include "base/status.h"

namespace tflite_serving {

inline Status NoRoomInFlight() {
  return UnavailableError("the requests that this server is busy with leave no memory for another of this size, try again later");
}

// Buffers up to this size are not counted: most requests never touch the shared counter, and connections have a limit of their own.
inline constexpr size_t kUncountedBytes = size_t{64} << 10;

// Thread-safe.
class InFlightBytes {
 public:
  explicit InFlightBytes(size_t limit_bytes = std::numeric_limits<size_t>::max()) : limit_(limit_bytes) {}

  size_t limit() const { return limit_; }
  size_t used() const { return used_.load(std::memory_order_relaxed); }
  // Memory that is only kept for later requests is to be given back: others may need it.
  bool is_scarce() const { return used() > limit_ / 2; }

  // False, and nothing is taken: there would be more than the limit.
  [[nodiscard]] bool TryTake(size_t bytes) {
    size_t used = used_.load(std::memory_order_relaxed);
    do {
      if (bytes > limit_ || used > limit_ - bytes) return false;
    } while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
    return true;
  }
  // For what is there already, and cannot be refused any more.
  void Take(size_t bytes) { used_.fetch_add(bytes, std::memory_order_relaxed); }
  void GiveBack(size_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }

 private:
  const size_t limit_;
  std::atomic<size_t> used_ = 0;
};

// Counts one buffer of a size that changes. Thread-compatible; `all`, which may be null, must outlive it.
class InFlightShare {
 public:
  explicit InFlightShare(InFlightBytes* all) : all_(all) {}
  InFlightShare(const InFlightShare&) = delete;
  InFlightShare& operator=(const InFlightShare&) = delete;
  ~InFlightShare() { Set(0); }

  void Swap(InFlightShare& other) {
    std::swap(all_, other.all_);
    std::swap(counted_, other.counted_);
  }
  // The buffer is to have `size` bytes. False: it must not.
  [[nodiscard]] bool TrySet(size_t size) {
    const size_t wanted = Counted(size);
    if (wanted > counted_ && !all_->TryTake(wanted - counted_)) return false;
    if (wanted < counted_) all_->GiveBack(counted_ - wanted);
    counted_ = wanted;
    return true;
  }
  // The buffer has `size` bytes, whatever the limit.
  void Set(size_t size) {
    const size_t wanted = Counted(size);
    if (wanted > counted_) all_->Take(wanted - counted_);
    if (wanted < counted_) all_->GiveBack(counted_ - wanted);
    counted_ = wanted;
  }

 private:
  size_t Counted(size_t size) const { return all_ == nullptr || size <= kUncountedBytes ? 0 : size; }

  InFlightBytes* all_;
  size_t counted_ = 0;
};

}  // namespace tflite_serving
