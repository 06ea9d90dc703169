// The interpreters of one model, lent to one request each.
//
//   TFLS_ASSIGN_OR_RETURN(InterpreterPool::Lease lease, pool.WaitForLease(deadline));
//   lease->Run(…);
//   // given back, and restored if need be, when `lease` goes
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/status.h"
#include "runtime/interpreter.h"

namespace tflite_serving {

// Thread-safe. Must outlive its leases.
//
// The interpreter given back last is lent first: its memory is still in the caches, and an idle server touches one interpreter only.
class InterpreterPool {
 public:
  // The sole use of one interpreter. Movable.
  class Lease {
   public:
    Lease(Lease&& other) noexcept : pool_(std::exchange(other.pool_, nullptr)), interpreter_(other.interpreter_) {}
    Lease& operator=(Lease&&) = delete;
    ~Lease() {
      if (pool_ != nullptr) pool_->GiveBack(interpreter_);
    }
    Interpreter* operator->() const { return interpreter_; }
    Interpreter& operator*() const { return *interpreter_; }

   private:
    friend class InterpreterPool;
    Lease(InterpreterPool* pool, Interpreter* interpreter) : pool_(pool), interpreter_(interpreter) {}
    InterpreterPool* pool_;
    Interpreter* interpreter_;
  };

  // Lends these, of which there must be at least one.
  explicit InterpreterPool(std::vector<std::unique_ptr<Interpreter>> interpreters);
  InterpreterPool(const InterpreterPool&) = delete;
  InterpreterPool& operator=(const InterpreterPool&) = delete;

  size_t size() const { return interpreters_.size(); }

  // Waits for an interpreter until `deadline`; then DEADLINE_EXCEEDED.
  StatusOr<Lease> WaitForLease(TimePoint deadline);
  // Without waiting; nothing if all are lent.
  std::optional<Lease> TryLease();

  // Whether TryLease would have got one just now. Never waits: an estimate.
  bool HasFree() const { return num_free_.load(std::memory_order_relaxed) > 0; }

 private:
  void GiveBack(Interpreter* interpreter);
  Interpreter* TakeFree() TFLS_REQUIRES(mutex_);

  const std::vector<std::unique_ptr<Interpreter>> interpreters_;
  Mutex mutex_;
  CondVar given_back_;
  std::vector<Interpreter*> free_ TFLS_GUARDED_BY(mutex_);  // the last is the next to go
  std::atomic<int> num_free_;                               // free_.size(), for HasFree
};

}  // namespace tflite_serving
