// Memory for one posted handler, so that posting it allocates nothing.
#pragma once

#include <cstddef>

#include "transport/asio_types.h"

namespace tflite_serving {

// Holds one handler at a time: after Post, the next one only when the handler has begun. Thread-compatible; must outlive the handler's beginning.
class HandlerSlot {
 public:
  // Has `function`, small and without arguments, called on the thread of `io`.
  template <typename Function>
  void Post(asio::io_context& io, Function function) {
    asio::post(io, Handler<Function>{this, function});
  }

 private:
  template <typename T>
  struct Allocator {
    using value_type = T;

    explicit Allocator(HandlerSlot* owner) : slot(owner) {}
    template <typename U>
    Allocator(const Allocator<U>& other) : slot(other.slot) {}  // NOLINT(google-explicit-constructor): rebound by Asio

    T* allocate(size_t count) {
      static_assert(sizeof(T) <= kBytes && alignof(T) <= alignof(std::max_align_t));
      return count == 1 ? reinterpret_cast<T*>(slot->memory_) : nullptr;
    }
    void deallocate(T*, size_t) {}

    template <typename U>
    bool operator==(const Allocator<U>& other) const {
      return slot == other.slot;
    }

    HandlerSlot* slot;
  };

  template <typename Function>
  struct Handler {
    using allocator_type = Allocator<void>;
    allocator_type get_allocator() const { return allocator_type(slot); }
    void operator()() const { function(); }

    HandlerSlot* slot;
    Function function;
  };

  static constexpr size_t kBytes = 128;
  alignas(std::max_align_t) std::byte memory_[kBytes];
};

}  // namespace tflite_serving
