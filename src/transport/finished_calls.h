// Calls that were finished on other threads, on their way back to the thread of their event loop.
#pragma once

#include <atomic>
#include <memory>
#include <utility>

#include "base/wake_ups.h"
#include "transport/asio_types.h"
#include "transport/handler_slot.h"

namespace tflite_serving {

class FinishedCalls;

// A call that goes back by FinishedCalls.
class FinishedCall {
 public:
  virtual ~FinishedCall() = default;

 private:
  friend FinishedCalls;

  // On the loop's thread. May destroy the call.
  virtual void Resume() = 0;

  FinishedCall* next_ = nullptr;  // the one that was finished before
};

// Those of one loop, which many threads may finish at once: nobody waits for a lock, nothing is allocated, and the loop is woken once for all that
// are finished before it gets to them.
class FinishedCalls final : public Wakeable, public std::enable_shared_from_this<FinishedCalls> {
 public:
  explicit FinishedCalls(std::shared_ptr<asio::io_context> io) : io_(std::move(io)) {}

  // From any thread. The call is resumed soon, unless the loop has ended; from here on it is the loop's. Whoever calls this holds a reference to the
  // queue of his own: the call's may be gone at once.
  void Push(FinishedCall& call) {
    call.next_ = newest_.load(std::memory_order_relaxed);
    while (!newest_.compare_exchange_weak(call.next_, &call)) {
    }
    // Another thread may have finished a call before and put off to wake the loop: so it counts whether that has been done.
    if (!woken_) WakeUps::Wake(shared_from_this());
  }

 private:
  void Wake() override {
    if (!woken_.exchange(true)) slot_.Post(*io_, [this] { ResumeAll(); });
  }

  // On the loop's thread, in the order in which they were finished.
  void ResumeAll() {
    woken_ = false;  // before the list is taken: who adds to it afterwards sees that, or is in it
    FinishedCall* oldest = nullptr;
    for (FinishedCall* call = newest_.exchange(nullptr); call != nullptr;) {
      FinishedCall* const before = std::exchange(call->next_, oldest);
      oldest = std::exchange(call, before);
    }
    while (oldest != nullptr) std::exchange(oldest, oldest->next_)->Resume();
  }

  std::atomic<FinishedCall*> newest_ = nullptr;
  std::atomic<bool> woken_ = false;  // ResumeAll will be called
  HandlerSlot slot_;
  const std::shared_ptr<asio::io_context> io_;  // destroyed first, since a handler in it may lie in the slot
};

}  // namespace tflite_serving
