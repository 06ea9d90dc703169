#include "lifecycle/retired_servables.h"

#include <malloc.h>

#include <utility>

#include "base/thread.h"

namespace tflite_serving {

RetiredServables::RetiredServables(OnGone on_gone) : on_gone_(std::move(on_gone)), thread_(StartThread("model_unload", [this] { Work(); })) {}

RetiredServables::~RetiredServables() {
  {
    MutexLock lock(queue_->mutex);
    queue_->closed = true;
  }
  queue_->wake.NotifyOne();
}

ServableHandle RetiredServables::Watch(ServableHandle servable) {
  Servable* const raw = servable.get();
  return {raw, [queue = queue_, kept = std::move(servable)](Servable*) mutable {
            {
              MutexLock lock(queue->mutex);
              if (!queue->closed) queue->servables.push_back(std::move(kept));
            }
            queue->wake.NotifyOne();
          }};
}

void RetiredServables::Work() {
  for (;;) {
    ServableHandle servable;
    {
      MutexLock lock(queue_->mutex);
      while (queue_->servables.empty() && !queue_->closed) queue_->wake.Wait(queue_->mutex);
      if (queue_->servables.empty()) return;
      servable = std::move(queue_->servables.front());
      queue_->servables.pop_front();
    }
    const ServableId id = servable->id();
    const Servable* const gone = servable.get();
    servable = nullptr;
    ::malloc_trim(0);
    on_gone_(id, gone);
  }
}

}  // namespace tflite_serving
