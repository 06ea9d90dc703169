// A flag that one side sets once and the other side asks: "is this still wanted?"
#pragma once

#include <atomic>

namespace tflite_serving {

// Thread-safe. It orders nothing: who sees it set may not conclude that anything else was written before.
class Cancellation {
 public:
  Cancellation() = default;
  virtual ~Cancellation() = default;
  Cancellation(const Cancellation&) = delete;
  Cancellation& operator=(const Cancellation&) = delete;

  void Cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  virtual bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }
  // For an object that is used again, once nobody asks any more.
  void Reset() { cancelled_.store(false, std::memory_order_relaxed); }

 private:
  std::atomic<bool> cancelled_ = false;
};

}  // namespace tflite_serving
