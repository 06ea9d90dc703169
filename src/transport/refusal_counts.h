// How many requests a server refused by itself, for a limit that was passed or for what could not be read, by code.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace tflite_serving {

// Codes are HTTP's status codes, and gRPC's (0 to 16). Thread-safe.
class RefusalCounts {
 public:
  static constexpr int kNumCodes = 600;

  void Count(int code) {
    if (code >= 0 && code < kNumCodes) counts_[static_cast<size_t>(code)].fetch_add(1, std::memory_order_relaxed);
  }
  // Calls `f` with each code that was counted, and how often.
  template <typename F>
  void ForEach(F f) const {
    for (size_t code = 0; code < counts_.size(); ++code) {
      if (const uint64_t count = counts_[code].load(std::memory_order_relaxed); count > 0) f(static_cast<int>(code), count);
    }
  }

 private:
  std::array<std::atomic<uint64_t>, kNumCodes> counts_{};
};

}  // namespace tflite_serving
