// Keeps the loaded models within an amount of memory: those that were used least recently are unloaded, and loaded again when a request wants them.
//
// A servable that was admitted is handed on behind one that can do without it: that knows its signatures all the time, and a request that comes while
// the model is not in memory waits, on no thread, until it is loaded again. To requests a version is AVAILABLE in either case.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/cancellation.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mutex.h"
#include "base/status.h"
#include "base/worker_pool.h"
#include "lifecycle/retired_servables.h"
#include "lifecycle/servable_loader.h"
#include "servable/servable.h"

namespace tflite_serving {

// While a model is loaded for the first time, what it takes is not known and comes on top of the budget; so does its trial.
struct MemoryBudgetOptions {
  size_t bytes = 0;               // of all servables together, as Servable::memory_bytes has it; 0: no budget
  ServableLoader reload;          // loads again what was loaded before; requests wait for it
  WorkerPool* workers = nullptr;  // runs the requests that waited; borrowed, and must outlive the budget's Shutdown
  int num_load_threads = 1;
};

// FAILED_PRECONDITION, which says how much it takes, if the servable alone takes more than `budget_bytes`. 0: no budget.
Status CheckFits(const Servable& servable, size_t budget_bytes);

// Thread-safe. Shared with the servables that it hands on.
class MemoryBudget : public std::enable_shared_from_this<MemoryBudget> {
 public:
  // Requests that may wait for models to be loaded again, all together; one more is refused.
  static constexpr size_t kMaxWaiting = 4096;
  // A model that could not be loaded again is left alone for so long; requests for it get the same error.
  static constexpr std::chrono::seconds kRetryInterval{1};

  // `retired` destroys what is unloaded. All of it is borrowed, and must outlive Shutdown.
  static std::shared_ptr<MemoryBudget> Create(const MemoryBudgetOptions& options, RetiredServables& retired, const FileSystem& files,
                                              const Clock& clock);
  MemoryBudget(const MemoryBudget&) = delete;
  MemoryBudget& operator=(const MemoryBudget&) = delete;

  // Takes `servable`, just loaded from the file at `path`, the only handle of it, into the budget, and unloads others until there is room: only now
  // it is known how much it takes. It is loaded again from there, with `options`, as long as that file has this stamp, and is refused with
  // UNAVAILABLE otherwise.
  // Errors: CheckFits.
  StatusOr<ServableHandle> Admit(ServableHandle servable, const std::string& path, const FileStamp& stamp, const LoadOptions& options);

  void Collect(MetricsPage& page) const;

  // Loads nothing again from now on, and refuses the requests that wait. Returns before that is over.
  void Stop();
  // Stops, and waits for its threads. To be called before the last handle of this goes; the servables' handles stay valid.
  void Shutdown();

 private:
  class Evictable;  // what requests see of a servable
  struct Waiting {
    RunRequest request;
    RunDone done;
  };
  struct Entry {
    ServableHandle loaded;  // null while it is not in memory
    size_t bytes = 0;       // that it takes when it is
    size_t reserved = 0;    // for it to be loaded
    uint64_t last_use = 0;  // in the order of uses_
    bool loading = false;
    Status failure;  // of the last attempt to load it again, and when that was
    TimePoint failed_at{};
    std::vector<Waiting> waiting;
  };
  using Handles = std::vector<ServableHandle>;

  MemoryBudget(const MemoryBudgetOptions& options, RetiredServables& retired, const FileSystem& files, const Clock& clock);

  // For Evictable. The servable, if it is in memory; Use counts.
  ServableHandle Use(const Evictable& servable);
  ServableHandle Peek(const Evictable& servable) const;
  void RunWhenLoaded(Evictable& servable, const RunRequest& request, RunDone done);
  void Forget(const Evictable& servable);

  void Reload(const std::shared_ptr<Evictable>& servable);
  StatusOr<ServableHandle> LoadAgain(const Evictable& servable);
  Status CheckUnchanged(const Evictable& servable) const;
  // Waits until there is room for the servable's bytes, and books them as reserved. CANCELLED if nobody waits for it any more, and that is all.
  Status Reserve(const Evictable& servable);
  // The end of Reload: the servable is in memory, or is not, and those who waited for it.
  std::vector<Waiting> Settle(const Evictable& servable, const StatusOr<ServableHandle>& loaded);
  // `servable`, as one whose end is seen in used_bytes_.
  ServableHandle Count(ServableHandle servable);
  // Takes servables out until `bytes` fit beside what stays: idle ones first, since the memory of others is free only when their requests are done.
  Handles MakeRoom(size_t bytes) TFLS_REQUIRES(mutex_);
  void Hold(Entry& entry, ServableHandle loaded) TFLS_REQUIRES(mutex_);
  // Ends requests at their deadline, soon after their client has gone, or when it is time to stop.
  void EndWaiting();

  const MemoryBudgetOptions options_;
  RetiredServables& retired_;
  const FileSystem& files_;
  const Clock& clock_;
  Cancellation stop_;
  mutable Mutex mutex_;
  CondVar freed_;    // used_bytes_ or reserved_bytes_ became less, it is another's turn_, or stop_
  CondVar waiting_;  // next_end_ is to be sooner, or stop_
  std::map<const Evictable*, Entry> entries_ TFLS_GUARDED_BY(mutex_);
  size_t used_bytes_ TFLS_GUARDED_BY(mutex_) = 0;      // of servables that are not destroyed
  size_t loaded_bytes_ TFLS_GUARDED_BY(mutex_) = 0;    // of entries_: without those that were unloaded, and are not destroyed yet
  size_t reserved_bytes_ TFLS_GUARDED_BY(mutex_) = 0;  // for what is being loaded
  uint64_t num_rejected_ TFLS_GUARDED_BY(mutex_) = 0;  // for want of room to wait, or of a worker
  uint64_t num_evictions_ TFLS_GUARDED_BY(mutex_) = 0;
  std::array<uint64_t, kNumStatusCodes> reloads_ TFLS_GUARDED_BY(mutex_){};  // by how they ended
  size_t num_waiting_ TFLS_GUARDED_BY(mutex_) = 0;
  TimePoint next_end_ TFLS_GUARDED_BY(mutex_) = kNoDeadline;  // when EndWaiting looks next
  uint64_t uses_ TFLS_GUARDED_BY(mutex_) = 0;
  // Reserve serves in the order that it was asked, or a large servable would never find room between small ones.
  uint64_t tickets_ TFLS_GUARDED_BY(mutex_) = 0;
  uint64_t turn_ TFLS_GUARDED_BY(mutex_) = 0;
  WorkerPool loaders_;  // these last: their threads use the members above
  std::jthread ender_;
};

}  // namespace tflite_serving
