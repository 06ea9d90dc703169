// Objects that are used again and again together with the memory they have grown, so that a request in the steady state allocates nothing.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "base/mutex.h"

namespace tflite_serving {

// Thread-safe. Everything that it handed out has to come back: its destruction waits for that. T needs a default constructor; an object comes back as
// its last user left it.
template <typename T>
class ObjectPool {
 public:
  // Keeps at most `max_idle` objects that nobody uses.
  explicit ObjectPool(size_t max_idle) : max_idle_(max_idle) { idle_.reserve(max_idle); }
  ~ObjectPool() {
    MutexLock lock(mutex_);
    while (num_out_ > 0) all_back_.Wait(mutex_);
  }
  ObjectPool(const ObjectPool&) = delete;
  ObjectPool& operator=(const ObjectPool&) = delete;

  // The object that was given back last (its memory is still in the cache), or a new one.
  std::unique_ptr<T> Take() {
    {
      MutexLock lock(mutex_);
      ++num_out_;
      if (!idle_.empty()) {
        std::unique_ptr<T> object = std::move(idle_.back());
        idle_.pop_back();
        return object;
      }
    }
    return std::make_unique<T>();
  }

  void GiveBack(std::unique_ptr<T> object) {
    MutexLock lock(mutex_);
    if (idle_.size() < max_idle_) idle_.push_back(std::move(object));
    if (--num_out_ == 0) all_back_.NotifyAll();  // under the lock: the pool may be gone after it
  }  // one too many is destroyed after the lock is released

 private:
  const size_t max_idle_;
  Mutex mutex_;
  CondVar all_back_;
  size_t num_out_ TFLS_GUARDED_BY(mutex_) = 0;
  std::vector<std::unique_ptr<T>> idle_ TFLS_GUARDED_BY(mutex_);
};

}  // namespace tflite_serving
