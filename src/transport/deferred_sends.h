// Replies that wait until the requests that came with theirs are handled too, and those that come meanwhile, so that they leave together.
//
// A reply that is sent as soon as it is made finds its receiver asleep, each time anew: the first of eight wakes a client, a proxy or a load
// generator that has slept again before the second is there. Sent one after another, the first wakes it and the others find it awake. Waking another
// core takes longer than everything that is done for a small request.
#pragma once

#include <algorithm>
#include <utility>

#include "transport/asio_types.h"
#include "transport/handler_slot.h"

namespace tflite_serving {

class DeferredSends;

// Something to send on a connection.
class DeferredSend {
 public:
  virtual ~DeferredSend() = default;

 private:
  friend DeferredSends;

  // On the loop's thread, once for each time that it was put off. May destroy the object, or have it put off anew.
  virtual void Send() = 0;

  DeferredSend* next_ = nullptr;
  bool is_deferred_ = false;
};

// Those of one loop, on its thread. Must outlive the loop's last handler.
class DeferredSends {
 public:
  // No more than this wait, so that the first one's wait is short however many requests have come.
  static constexpr int kMaxDeferred = 16;
  // Putting a send off costs a look at the sockets that would not be needed. Where there was nothing else to send, again and again, only one send of
  // this many is put off, to see whether that has changed.
  static constexpr int kMaxSkipped = 63;

  // `io` must outlive it.
  explicit DeferredSends(asio::io_context& io) : io_(io) {}
  DeferredSends(const DeferredSends&) = delete;
  DeferredSends& operator=(const DeferredSends&) = delete;

  // True: `send`, which has to live until then, is called when the loop has handled what was ready with it, and what was ready then. False: it should
  // send at once.
  bool Defer(DeferredSend& send) {
    if (send.is_deferred_) return true;
    if (sending_ || (size_ == 0 && ++skipped_ <= to_skip_)) return false;
    skipped_ = 0;
    if (size_ + 1 == kMaxDeferred) {
      SendAll();
      return false;
    }
    *(size_++ == 0 ? &first_ : &last_->next_) = &send;
    last_ = &send;
    send.next_ = nullptr;
    send.is_deferred_ = true;
    if (!std::exchange(posted_, true)) Post();
    return true;
  }

 private:
  // Sends when the loop has got so far that nothing else was put off since it was here last.
  void Post() {
    slot_.Post(io_, [this] {
      if (size_ > std::exchange(seen_, size_)) return Post();
      posted_ = false;
      SendAll();
    });
  }

  // In the order in which they were put off.
  void SendAll() {
    if (size_ == 0) return;
    to_skip_ = size_ == 1 ? std::min(2 * to_skip_ + 1, kMaxSkipped) : 0;
    size_ = seen_ = 0;
    sending_ = true;  // what sends may have the next request at hand, and its answer, too
    for (DeferredSend* send = std::exchange(first_, nullptr); send != nullptr;) {
      DeferredSend& current = *std::exchange(send, send->next_);
      current.is_deferred_ = false;
      current.Send();
    }
    sending_ = false;
  }

  asio::io_context& io_;
  DeferredSend* first_ = nullptr;
  DeferredSend* last_ = nullptr;  // of those that wait; means nothing if there are none
  int size_ = 0;
  int seen_ = 0;  // of size_, when Post's handler ran last
  int to_skip_ = 0;
  int skipped_ = 0;
  bool posted_ = false;
  bool sending_ = false;
  HandlerSlot slot_;
};

}  // namespace tflite_serving
