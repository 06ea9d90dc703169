#include "lifecycle/memory_budget.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <limits>
#include <optional>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "base/thread.h"
#include "telemetry/log.h"
#include "telemetry/metrics.h"

namespace tflite_serving {
namespace {

constexpr double kMiB = 1 << 20;

// How often EndWaiting asks whether clients have gone, while any wait.
constexpr std::chrono::milliseconds kLookInterval{100};

void LogUnloaded(std::span<const ServableHandle> unloaded) {
  for (const ServableHandle& servable : unloaded) {
    TFLS_INFO("Unloading servable version {} to make room for another; the next request loads it again", servable->id().ToString());
  }
}

Status StoppedError() { return UnavailableError("the server is stopping"); }
Status GoneError() { return CancelledError("the client went away while the model was being loaded"); }
Status LateError() { return DeadlineExceededError("the model was still being loaded at the request's deadline"); }

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
  Evictable(std::shared_ptr<MemoryBudget> budget, const Servable& servable, std::string path, const FileStamp& stamp, const LoadOptions& options)
      : budget_(std::move(budget)),
        id_(servable.id()),
        path_(std::move(path)),
        stamp_(stamp),
        options_(options),
        signatures_(servable.signatures().begin(), servable.signatures().end()) {}
  ~Evictable() override { budget_->Forget(*this); }

  const ServableId& id() const override { return id_; }
  std::span<const Signature> signatures() const override { return signatures_; }
  const std::string& path() const { return path_; }
  const FileStamp& stamp() const { return stamp_; }
  const LoadOptions& options() const { return options_; }

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

  // Nobody's answer waits for it, so nothing else is unloaded for it.
  StatusOr<ModelProfile> Profile(const ProfileRequest& request) override {
    const ServableHandle loaded = budget_->Use(*this);
    if (loaded == nullptr) return UnavailableError("the model is out of memory; a request that runs it has it loaded");
    return loaded->Profile(request);
  }

  size_t memory_bytes() const override {
    const ServableHandle loaded = budget_->Peek(*this);
    return loaded == nullptr ? 0 : loaded->memory_bytes();
  }

  size_t num_interpreters() const override {
    const ServableHandle loaded = budget_->Peek(*this);
    return loaded == nullptr ? 0 : loaded->num_interpreters();
  }

  void Collect(MetricsPage& page) const override {
    if (const ServableHandle loaded = budget_->Peek(*this)) loaded->Collect(page);
  }

 private:
  const std::shared_ptr<MemoryBudget> budget_;
  const ServableId id_;
  const std::string path_;
  const FileStamp stamp_;
  const LoadOptions options_;
  const std::vector<Signature> signatures_;
};

std::shared_ptr<MemoryBudget> MemoryBudget::Create(const MemoryBudgetOptions& options, RetiredServables& retired, const FileSystem& files,
                                                   const Clock& clock) {
  return std::shared_ptr<MemoryBudget>(new MemoryBudget(options, retired, files, clock));
}

MemoryBudget::MemoryBudget(const MemoryBudgetOptions& options, RetiredServables& retired, const FileSystem& files, const Clock& clock)
    : options_(options),
      retired_(retired),
      files_(files),
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

StatusOr<ServableHandle> MemoryBudget::Admit(ServableHandle servable, const std::string& path, const FileStamp& stamp, const LoadOptions& options) {
  TFLS_RETURN_IF_ERROR(CheckFits(*servable, options_.bytes));
  auto evictable = std::make_shared<Evictable>(shared_from_this(), *servable, path, stamp, options);
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
    const auto rank = [](const Entry& entry) { return std::pair(entry.loaded.use_count() > 1, entry.last_use); };
    for (auto& [servable, entry] : entries_) {
      if (entry.loaded != nullptr && (oldest == nullptr || rank(entry) < rank(*oldest))) oldest = &entry;
    }
    if (oldest == nullptr) break;
    loaded_bytes_ -= oldest->bytes;
    unloaded.push_back(std::exchange(oldest->loaded, nullptr));
    ++num_evictions_;
  }
  return unloaded;
}

void MemoryBudget::Collect(MetricsPage& page) const {
  const MutexLock lock(mutex_);
  const auto num_loaded = std::ranges::count_if(entries_, [](const auto& entry) { return entry.second.loaded != nullptr; });
  page.Add(metrics::kBudgetBytes, {}, static_cast<double>(options_.bytes));
  page.Add(metrics::kBudgetUsed, {}, static_cast<double>(used_bytes_));
  page.Add(metrics::kBudgetLoaded, {}, static_cast<double>(num_loaded));
  page.Add(metrics::kBudgetUnloaded, {}, static_cast<double>(entries_.size()) - static_cast<double>(num_loaded));
  page.Add(metrics::kBudgetEvictions, {}, static_cast<double>(num_evictions_));
  page.Add(metrics::kRejected, {"memory_budget"}, static_cast<double>(num_rejected_));
  page.Add(metrics::kBudgetWaiting, {}, static_cast<double>(num_waiting_));
  for (size_t code = 0; code < kNumStatusCodes; ++code) {
    if (reloads_[code] > 0) page.Add(metrics::kBudgetReloads, {StatusCodeName(static_cast<StatusCode>(code))}, static_cast<double>(reloads_[code]));
  }
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
  bool wakes = false;
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
      ++num_rejected_;
    } else {
      wakes = num_waiting_ == 0 || request.deadline < next_end_;
      next_end_ = std::min(next_end_, request.deadline);
      entry.waiting.push_back({request, std::exchange(done, nullptr)});
      ++num_waiting_;
      if (!std::exchange(entry.loading, true)) {
        std::function<void()> reload = [this, kept = servable.shared_from_this()] { Reload(kept); };
        (void)loaders_.TrySubmit(reload);  // false: it is being shut down, and EndWaiting ends the request
      }
    }
  }
  if (wakes) waiting_.NotifyOne();
  if (loaded != nullptr) return servable.RunOn(std::move(loaded), request, std::move(done));
  if (!refusal.ok()) done(refusal, {});
}

Status MemoryBudget::CheckUnchanged(const Evictable& servable) const {
  const StatusOr<FileStamp> stamp = files_.Stamp(servable.path());
  if (!stamp.ok()) return UnavailableError(fmt::format("the model is out of memory, and its file cannot be read: {}", stamp.status().ToString()));
  if (*stamp == servable.stamp()) return OkStatus();
  return UnavailableError(fmt::format("{}: the file has changed since it was loaded; the model answers again when the new one is", servable.path()));
}

void MemoryBudget::Reload(const std::shared_ptr<Evictable>& servable) {
  const TimePoint start = clock_.Now();
  StatusOr<ServableHandle> loaded = LoadAgain(*servable);
  if (loaded.status().code() == StatusCode::kCancelled) return;  // Reserve has seen to it
  std::vector<Waiting> waiting = Settle(*servable, loaded);
  if (loaded.ok()) {
    TFLS_INFO("Loaded servable version {} again, in {} ms, for {} request(s)", servable->id().ToString(),
              std::chrono::duration_cast<std::chrono::milliseconds>(clock_.Now() - start).count(), waiting.size());
  } else {
    TFLS_ERROR("Loading servable version {} again failed: {}", servable->id().ToString(), loaded.status().message());
  }
  for (Waiting& one : waiting) {
    if (!loaded.ok()) {
      one.done(stop_.cancelled() ? StoppedError() : loaded.status(), {});
      continue;
    }
    std::function<void()> run = [servable, one, loaded = *loaded] { servable->RunOn(loaded, one.request, one.done); };
    if (options_.workers->TrySubmit(run, servable->id().name)) continue;
    {
      const MutexLock lock(mutex_);
      ++num_rejected_;
    }
    one.done(UnavailableError("too many requests are waiting; try again later"), {});
  }
}

StatusOr<ServableHandle> MemoryBudget::LoadAgain(const Evictable& servable) {
  TFLS_RETURN_IF_ERROR(CheckUnchanged(servable));
  TFLS_RETURN_IF_ERROR(Reserve(servable));
  StatusOr<ServableHandle> loaded = options_.reload(servable.id(), servable.path(), servable.options(), stop_);
  TFLS_RETURN_IF_ERROR(CheckUnchanged(servable));  // it may have been read while it changed
  // It was loaded before: whatever it is that is missing now, the request is not to blame.
  if (!loaded.ok()) return UnavailableError(fmt::format("the model is out of memory, and loading it failed: {}", loaded.status().ToString()));
  if (const Status fits = CheckFits(**loaded, options_.bytes); !fits.ok()) return UnavailableError(fits.message());
  return Count(*std::move(loaded));
}

Status MemoryBudget::Reserve(const Evictable& servable) {
  bool has_room = false;
  bool is_wanted = true;
  std::optional<uint64_t> ticket;
  while (!has_room && is_wanted) {
    Handles unloaded;
    {
      const MutexLock lock(mutex_);
      if (!ticket) ticket = tickets_++;
      Entry& entry = entries_.at(&servable);
      is_wanted = !stop_.cancelled() && !entry.waiting.empty();
      if (*ticket == turn_) {
        if (is_wanted) unloaded = MakeRoom(entry.bytes);
        has_room = is_wanted && used_bytes_ + reserved_bytes_ + entry.bytes <= options_.bytes;
        if (has_room) reserved_bytes_ += entry.reserved = entry.bytes;
        if (!is_wanted) entry.loading = false;  // a request to come starts anew
        if (has_room || !is_wanted) ++turn_;
      } else {
        is_wanted = true;  // its turn must come, or nobody's does
      }
      if (!has_room && is_wanted && unloaded.empty()) freed_.Wait(mutex_);
    }
    LogUnloaded(unloaded);
  }
  freed_.NotifyAll();
  return has_room ? OkStatus() : CancelledError("nobody waits for the model any more");
}

std::vector<MemoryBudget::Waiting> MemoryBudget::Settle(const Evictable& servable, const StatusOr<ServableHandle>& loaded) {
  std::vector<Waiting> waiting;
  Handles unloaded;
  {
    const MutexLock lock(mutex_);
    Entry& entry = entries_.at(&servable);
    entry.loading = false;
    ++reloads_[static_cast<size_t>(loaded.status().code())];
    reserved_bytes_ -= std::exchange(entry.reserved, 0);
    if (loaded.ok()) {
      entry.failure = OkStatus();
      Hold(entry, *loaded);
      unloaded = MakeRoom(0);  // it may have grown, and others may have come meanwhile
    } else {
      entry.failure = loaded.status();
      entry.failed_at = clock_.Now();
    }
    num_waiting_ -= entry.waiting.size();
    waiting = std::exchange(entry.waiting, {});
  }
  LogUnloaded(unloaded);
  freed_.NotifyAll();
  return waiting;
}

void MemoryBudget::EndWaiting() {
  bool stopping = false;
  while (!stopping) {
    std::vector<std::pair<RunDone, Status>> ended;
    {
      const MutexLock lock(mutex_);
      stopping = stop_.cancelled();
      const TimePoint now = clock_.Now();
      next_end_ = kNoDeadline;
      for (auto& [servable, entry] : entries_) {
        std::erase_if(entry.waiting, [&](Waiting& one) {
          const RunRequest& request = one.request;
          const bool gone = request.cancellation != nullptr && request.cancellation->cancelled();
          if (!stopping && !gone && now < request.deadline) return false;
          ended.emplace_back(std::move(one.done), stopping ? StoppedError() : gone ? GoneError() : LateError());
          return true;
        });
        for (const Waiting& one : entry.waiting) next_end_ = std::min(next_end_, one.request.deadline);
      }
      num_waiting_ -= ended.size();
      if (ended.empty() && !stopping) waiting_.WaitUntil(mutex_, num_waiting_ == 0 ? kNoDeadline : std::min(next_end_, now + kLookInterval));
    }
    if (!ended.empty()) freed_.NotifyAll();  // a load that nobody waits for any more is given up
    for (const auto& [done, status] : ended) done(status, {});
  }
}

}  // namespace tflite_serving
