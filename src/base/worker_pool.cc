#include "base/worker_pool.h"

#include <algorithm>
#include <utility>

#include "base/thread.h"

namespace tflite_serving {
namespace {

using std::chrono::nanoseconds;

// Of the last tasks: the weight of a new one is an eighth.
constexpr int kAverageMemory = 8;

}  // namespace

WorkerPool::WorkerPool(const std::string& name, const WorkerPoolOptions& options) : options_(options) {
  threads_.reserve(static_cast<size_t>(options.num_threads));
  for (int i = 0; i < options.num_threads; ++i) threads_.push_back(StartThread(name, [this] { Work(); }));
}

WorkerPool::~WorkerPool() { Stop(); }

void WorkerPool::Stop() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.NotifyAll();
  threads_.clear();  // joins
}

WorkerPool::Flow& WorkerPool::FlowOf(std::string_view name) {
  if (const auto known = flows_.find(name); known != flows_.end()) return known->second;
  if (flows_.size() >= kMaxIdleFlows) std::erase_if(flows_, [](const auto& flow) { return flow.second.tasks.empty() && flow.second.running == 0; });
  return flows_.try_emplace(std::string(name), QueueLimit(options_.max_wait, options_.num_threads)).first->second;
}

bool WorkerPool::IsFull(Flow& flow, TimePoint now) const {
  // Each active flow gets the same share of the threads.
  const auto tasks = static_cast<int64_t>(flow.tasks.size() * active_.size());
  return flow.limit.Refuses(flow.tasks.size(), flow.average * tasks / options_.num_threads, now);
}

bool WorkerPool::TrySubmit(std::function<void()>& task, std::string_view name) {
  {
    MutexLock lock(mutex_);
    if (stopping_ || num_queued_ >= options_.max_queued) return false;
    Flow& flow = FlowOf(name);
    const TimePoint now = options_.clock->Now();
    if (IsFull(flow, now)) return false;
    if (flow.tasks.empty()) {
      flow.used = std::max(flow.used, turn_);  // who had nothing to run has saved nothing up
      active_.push_back(&flow);
    }
    flow.tasks.push_back({std::move(task), now});
    ++num_queued_;
  }
  wake_.NotifyOne();
  return true;
}

bool WorkerPool::WouldRefuse(std::string_view name) {
  const MutexLock lock(mutex_);
  const auto flow = flows_.find(name);
  return stopping_ || num_queued_ >= options_.max_queued || (flow != flows_.end() && IsFull(flow->second, options_.clock->Now()));
}

PoolLoad WorkerPool::load() const {
  const MutexLock lock(mutex_);
  const TimePoint now = options_.clock->Now();
  PoolLoad load{.num_threads = options_.num_threads, .busy = busy_.Total(now), .num_queued = num_queued_};
  for (const Flow* flow : active_) load.oldest = std::max(load.oldest, now - flow->tasks.front().queued);
  return load;
}

void WorkerPool::Work() {
  for (;;) {
    std::function<void()> work;
    Flow* flow = nullptr;
    TimePoint start;
    {
      MutexLock lock(mutex_);
      while (active_.empty() && !stopping_) wake_.Wait(mutex_);
      if (active_.empty()) return;
      const auto next = std::ranges::min_element(active_, {}, &Flow::used);
      flow = *next;
      turn_ = flow->used;
      work = std::move(flow->tasks.front().work);
      flow->tasks.pop_front();
      if (flow->tasks.empty()) active_.erase(next);
      --num_queued_;
      ++flow->running;
      start = options_.clock->Now();
      busy_.Change(1, start);
    }
    work();
    work = nullptr;
    const TimePoint end = options_.clock->Now();
    const nanoseconds time = end - start;
    MutexLock lock(mutex_);
    busy_.Change(-1, end);
    flow->used += time;
    flow->average += (time - flow->average) / kAverageMemory;
    --flow->running;
  }
}

}  // namespace tflite_serving
