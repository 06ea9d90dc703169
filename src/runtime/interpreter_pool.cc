#include "runtime/interpreter_pool.h"

#include <fmt/format.h>

namespace tflite_serving {

InterpreterPool::InterpreterPool(std::vector<std::unique_ptr<Interpreter>> interpreters)
    : interpreters_(std::move(interpreters)), num_free_(static_cast<int>(interpreters_.size())) {
  const MutexLock lock(mutex_);
  for (const auto& interpreter : interpreters_) free_.push_back(interpreter.get());
}

Interpreter* InterpreterPool::TakeFree() {
  Interpreter* interpreter = free_.back();
  free_.pop_back();
  num_free_.store(static_cast<int>(free_.size()), std::memory_order_relaxed);
  return interpreter;
}

StatusOr<InterpreterPool::Lease> InterpreterPool::WaitForLease(TimePoint deadline) {
  const MutexLock lock(mutex_);
  while (free_.empty()) {
    if (deadline == kNoDeadline) {
      given_back_.Wait(mutex_);
    } else if (!given_back_.WaitUntil(mutex_, deadline) && free_.empty()) {
      return DeadlineExceededError(fmt::format("all {} interpreters of the model were still busy at the request's deadline", size()));
    }
  }
  return Lease(this, TakeFree());
}

std::optional<InterpreterPool::Lease> InterpreterPool::TryLease() {
  const MutexLock lock(mutex_);
  if (free_.empty()) return std::nullopt;
  return Lease(this, TakeFree());
}

void InterpreterPool::GiveBack(Interpreter* interpreter) {
  interpreter->Restore();  // before the lock: it may compile
  {
    const MutexLock lock(mutex_);
    free_.push_back(interpreter);
    num_free_.store(static_cast<int>(free_.size()), std::memory_order_relaxed);
  }
  given_back_.NotifyOne();
}

}  // namespace tflite_serving
