// Where servables go when nobody uses them any more: they are destroyed on a thread of their own, since giving back a model's memory takes
// milliseconds that no request should pay.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <thread>

#include "base/mutex.h"
#include "servable/servable.h"

namespace tflite_serving {

// Thread-safe.
class RetiredServables {
 public:
  // Told on that thread, without a lock held, that a servable has been destroyed and its memory given back to the system; the pointer is no longer
  // one.
  using OnGone = std::function<void(const ServableId& id, const Servable* servable)>;

  explicit RetiredServables(OnGone on_gone);
  // Handles that are still out stay valid; their servables are then destroyed by whoever lets go of them last.
  ~RetiredServables();
  RetiredServables(const RetiredServables&) = delete;
  RetiredServables& operator=(const RetiredServables&) = delete;

  // A handle of the same servable whose last copy, wherever it goes, brings it here. `servable` must be the only handle of it.
  ServableHandle Watch(ServableHandle servable);

 private:
  struct Queue {
    Mutex mutex;
    CondVar wake;
    std::deque<ServableHandle> servables TFLS_GUARDED_BY(mutex);
    bool closed TFLS_GUARDED_BY(mutex) = false;
  };
  void Work();

  const OnGone on_gone_;
  const std::shared_ptr<Queue> queue_ = std::make_shared<Queue>();
  std::jthread thread_;  // last: it uses the members above
};

}  // namespace tflite_serving
