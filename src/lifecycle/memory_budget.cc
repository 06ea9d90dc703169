#include "lifecycle/memory_budget.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <limits>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "base/thread.h"
#include "telemetry/log.h"

namespace tflite_serving {
namespace {

constexpr double kMiB = 1 << 20;

bool HasSameSpecs(const std::vector<TensorSpec>& a, const std::vector<TensorSpec>& b) {
  return std::ranges::equal(a, b,
                            [](const TensorSpec& x, const TensorSpec& y) { return x.name == y.name && x.dtype == y.dtype && x.shape == y.shape; });
}

// Whether requests that were checked against the one may be run by the other.
bool AreAlike(std::span<const Signature> before, std::span<const Signature> now) {
  return std::ranges::equal(before, now, [](const Signature& a, const Signature& b) {
    return a.key == b.key && a.batch_of_one_is_free == b.batch_of_one_is_free && HasSameSpecs(a.inputs, b.inputs) &&
           HasSameSpecs(a.outputs, b.outputs);
  });
}

void LogUnloaded(std::span<const ServableHandle> unloaded) {
  for (const ServableHandle& servable : unloaded) {
    TFLS_INFO("Unloading servable version {} to make room for another; the next request loads it again", servable->id().ToString());
  }
}

Status StoppedError() { return UnavailableError("the server is stopping"); }

}  // namespace

Status CheckFits(const Servable& servable, size_t budget_bytes) {
  const size_t bytes = servable.memory_bytes();
  if (budget_bytes == 0 || bytes <= budget_bytes) return OkStatus();
  return FailedPreconditionError(
      fmt::format("the model takes {:.1f} MiB of memory, and --model_memory_budget_mb allows {:.1f} to all models together: "
                  "allow more, or fewer interpreters (--num_tflite_pools)",
                  static_cast<double>(bytes) / kMiB, static_cast<double>(budget_bytes) / kMiB));
}

class MemoryBudget::Evictable : public Servable, public std::enable_shared_from_this<Evictable> {
 public:
  Evictable(std::shared_ptr<MemoryBudget> budget, const Servable& servable, std::string path)
      : budget_(std::move(budget)),
        id_(servable.id()),
        path_(std::move(path)),
        signatures_(servable.signatures().begin(), servable.signatures().end()) {}
  ~Evictable() override { budget_->Forget(*this); }

  const ServableId& id() const override { return id_; }
  std::span<const Signature> signatures() const override { return signatures_; }
  const std::string& path() const { return path_; }

  void Run(const RunRequest& request, RunDone done) override {
    if (ServableHandle loaded = budget_->Use(*this)) return RunOn(std::move(loaded), request, std::move(done));
    budget_->RunWhenLoaded(*this, request, std::move(done));
  }

  // `loaded` is kept until the request is done.
  void RunOn(ServableHandle loaded, RunRequest request, RunDone done) const {
    request.signature = &loaded->signatures()[static_cast<size_t>(request.signature - signatures_.data())];
    Servable& servable = *loaded;
    servable.Run(request, [loaded = std::move(loaded), done = std::move(done)](const Status& status, std::span<const TensorView> outputs) {
      done(status, outputs);
    });
  }

  bool RunsInline(size_t request_bytes) const override {
    const ServableHandle loaded = budget_->Peek(*this);
    return loaded != nullptr && loaded->RunsInline(request_bytes);
  }

  size_t memory_bytes() const override {
    const ServableHandle loaded = budget_->Peek(*this);
    return loaded == nullptr ? 0 : loaded->memory_bytes();
  }

 private:
  const std::shared_ptr<MemoryBudget> budget_;
  const ServableId id_;
  const std::string path_;
  const std::vector<Signature> signatures_;
};

std::shared_ptr<MemoryBudget> MemoryBudget::Create(const MemoryBudgetOptions& options, RetiredServables& retired, const Clock& clock) {
  return std::shared_ptr<MemoryBudget>(new MemoryBudget(options, retired, clock));
}

MemoryBudget::MemoryBudget(const MemoryBudgetOptions& options, RetiredServables& retired, const Clock& clock)
    : options_(options),
      retired_(retired),
      clock_(clock),
      // At most one job for each servable waits here.
      loaders_("model_reload", options.num_load_threads, std::numeric_limits<size_t>::max()),
      ender_(StartThread("model_waiting", [this] { EndWaiting(); })) {}

void MemoryBudget::Stop() {
  stop_.Cancel();
  {
    const MutexLock lock(mutex_);  // so that nobody misses it between a look and a wait
  }
  freed_.NotifyAll();
  waiting_.NotifyAll();
}

void MemoryBudget::Shutdown() {
  Stop();
  loaders_.Stop();
  if (ender_.joinable()) ender_.join();
}

// --- What is in memory ---

StatusOr<ServableHandle> MemoryBudget::Admit(ServableHandle servable, const std::string& path) {
  TFLS_RETURN_IF_ERROR(CheckFits(*servable, options_.bytes));
  auto evictable = std::make_shared<Evictable>(shared_from_this(), *servable, path);
  ServableHandle counted = Count(std::move(servable));
  Handles unloaded;
  {
    const MutexLock lock(mutex_);
    unloaded = MakeRoom(counted->memory_bytes());
    Hold(entries_[evictable.get()], std::move(counted));
  }
  LogUnloaded(unloaded);
  return ServableHandle(std::move(evictable));
}

ServableHandle MemoryBudget::Count(ServableHandle servable) {
  const size_t bytes = servable->memory_bytes();
  {
    const MutexLock lock(mutex_);
    used_bytes_ += bytes;
  }
  Servable* const raw = servable.get();
  return retired_.Watch({raw, [budget = shared_from_this(), kept = std::move(servable), bytes](Servable*) mutable {
                           kept = nullptr;
                           {
                             const MutexLock lock(budget->mutex_);
                             budget->used_bytes_ -= bytes;
                           }
                           budget->freed_.NotifyAll();
                         }});
}

void MemoryBudget::Hold(Entry& entry, ServableHandle loaded) {
  entry.bytes = loaded->memory_bytes();
  entry.last_use = ++uses_;
  entry.loaded = std::move(loaded);
  loaded_bytes_ += entry.bytes;
}

MemoryBudget::Handles MemoryBudget::MakeRoom(size_t bytes) {
  Handles unloaded;
  while (loaded_bytes_ + reserved_bytes_ + bytes > options_.bytes) {
    Entry* oldest = nullptr;
    for (auto& [servable, entry] : entries_) {
      if (entry.loaded != nullptr && (oldest == nullptr || entry.last_use < oldest->last_use)) oldest = &entry;
    }
    if (oldest == nullptr) break;
    loaded_bytes_ -= oldest->bytes;
    unloaded.push_back(std::exchange(oldest->loaded, nullptr));
  }
  return unloaded;
}

ServableHandle MemoryBudget::Use(const Evictable& servable) {
  const MutexLock lock(mutex_);
  Entry& entry = entries_.at(&servable);
  entry.last_use = ++uses_;
  return entry.loaded;
}

ServableHandle MemoryBudget::Peek(const Evictable& servable) const {
  const MutexLock lock(mutex_);
  return entries_.at(&servable).loaded;
}

void MemoryBudget::Forget(const Evictable& servable) {
  Entry forgotten;  // goes without the lock
  const MutexLock lock(mutex_);
  forgotten = std::move(entries_.extract(&servable).mapped());
  if (forgotten.loaded != nullptr) loaded_bytes_ -= forgotten.bytes;
}

// --- Loading again ---

void MemoryBudget::RunWhenLoaded(Evictable& servable, const RunRequest& request, RunDone done) {
  Status refusal;
  ServableHandle loaded;
  bool ends_first = false;
  {
    const MutexLock lock(mutex_);
    Entry& entry = entries_.at(&servable);
    if (entry.loaded != nullptr) {  // just now
      loaded = entry.loaded;
    } else if (stop_.cancelled()) {
      refusal = StoppedError();
    } else if (!entry.failure.ok() && clock_.Now() - entry.failed_at < kRetryInterval) {
      refusal = entry.failure;
    } else if (num_waiting_ == kMaxWaiting) {
      refusal = UnavailableError("too many requests are waiting for models to be loaded; try again later");
    } else {
      ends_first = request.deadline < next_end_;
      next_end_ = std::min(next_end_, request.deadline);
      entry.waiting.push_back({request, std::exchange(done, nullptr)});
      ++num_waiting_;
      if (!std::exchange(entry.loading, true)) {
        std::function<void()> reload = [this, kept = servable.shared_from_this()] { Reload(kept); };
        (void)loaders_.TrySubmit(reload);  // false: it is being shut down, and EndWaiting ends the request
      }
    }
  }
  if (ends_first) waiting_.NotifyOne();
  if (loaded != nullptr) return servable.RunOn(std::move(loaded), request, std::move(done));
  if (!refusal.ok()) done(refusal, {});
}

void MemoryBudget::Reload(const std::shared_ptr<Evictable>& servable) {
  if (!Reserve(*servable)) return;
  const TimePoint start = clock_.Now();
  StatusOr<ServableHandle> loaded = options_.reload(servable->id(), servable->path(), stop_);
  if (loaded.ok() && !AreAlike(servable->signatures(), (*loaded)->signatures())) {
    loaded = UnavailableError(
        fmt::format("{}: the model is not the one that was loaded before; it serves when it is found to have changed", servable->path()));
  }
  if (loaded.ok()) loaded = Count(*std::move(loaded));
  const std::vector<Waiting> waiting = Settle(*servable, loaded);
  if (loaded.ok()) {
    TFLS_INFO("Loaded servable version {} again, in {} ms, for {} request(s)", servable->id().ToString(),
              std::chrono::duration_cast<std::chrono::milliseconds>(clock_.Now() - start).count(), waiting.size());
  } else {
    TFLS_ERROR("Loading servable version {} again failed: {}", servable->id().ToString(), loaded.status().ToString());
  }
  for (const Waiting& one : waiting) {
    if (!loaded.ok()) {
      one.done(loaded.status(), {});
      continue;
    }
    std::function<void()> run = [servable, one, loaded = *loaded] { servable->RunOn(loaded, one.request, one.done); };
    if (!options_.workers->TrySubmit(run)) one.done(UnavailableError("too many requests are waiting; try again later"), {});
  }
}

bool MemoryBudget::Reserve(const Evictable& servable) {
  for (;;) {
    Handles unloaded;
    {
      const MutexLock lock(mutex_);
      Entry& entry = entries_.at(&servable);
      if (stop_.cancelled() || entry.waiting.empty()) {
        entry.loading = false;
        return false;
      }
      unloaded = MakeRoom(entry.bytes);
      if (used_bytes_ + reserved_bytes_ + entry.bytes <= options_.bytes) {
        reserved_bytes_ += entry.bytes;
        return true;
      }
      if (unloaded.empty()) freed_.Wait(mutex_);
    }
    LogUnloaded(unloaded);
  }
}

std::vector<MemoryBudget::Waiting> MemoryBudget::Settle(const Evictable& servable, const StatusOr<ServableHandle>& loaded) {
  std::vector<Waiting> waiting;
  {
    const MutexLock lock(mutex_);
    Entry& entry = entries_.at(&servable);
    entry.loading = false;
    reserved_bytes_ -= entry.bytes;
    entry.failure = loaded.status();
    if (loaded.ok()) {
      Hold(entry, *loaded);
    } else {
      entry.failed_at = clock_.Now();
    }
    num_waiting_ -= entry.waiting.size();
    waiting = std::move(entry.waiting);
    entry.waiting.clear();
  }
  freed_.NotifyAll();
  return waiting;
}

void MemoryBudget::EndWaiting() {
  bool stopping = false;
  while (!stopping) {
    std::vector<Waiting> ended;
    {
      const MutexLock lock(mutex_);
      stopping = stop_.cancelled();
      const TimePoint now = clock_.Now();
      next_end_ = kNoDeadline;
      for (auto& [servable, entry] : entries_) {
        const auto [first, last] = std::ranges::partition(entry.waiting, [&](const Waiting& one) { return !stopping && now < one.request.deadline; });
        std::move(first, last, std::back_inserter(ended));
        entry.waiting.erase(first, last);
        for (const Waiting& one : entry.waiting) next_end_ = std::min(next_end_, one.request.deadline);
      }
      num_waiting_ -= ended.size();
      if (ended.empty() && !stopping) waiting_.WaitUntil(mutex_, next_end_);
    }
    if (!ended.empty()) freed_.NotifyAll();  // a load that nobody waits for any more is given up
    const Status status = stopping ? StoppedError() : DeadlineExceededError("the model was still being loaded at the request's deadline");
    for (const Waiting& one : ended) one.done(status, {});
  }
}

}  // namespace tflite_serving
