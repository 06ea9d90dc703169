#include "server/config_updater.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/thread.h"
#include "telemetry/log.h"

namespace tflite_serving {

Status ConfigUpdater::ApplyFirst(const ModelConfig& model) {
  ModelConfigList models = std::vector<ModelConfig>{model};
  if (!options_.file.empty()) {
    TFLS_ASSIGN_OR_RETURN(models, ReadModelServerConfigFile(options_.file));
    from_file_ = models;
  }
  if (!models) {
    TFLS_INFO("{}: Taking no action for empty config.", options_.file);
    return OkStatus();
  }
  TFLS_ASSIGN_OR_RETURN(first_models_, manager_.SetModels(*models, {.labels_may_be_unavailable = options_.labels_may_be_unavailable}));
  options_.on_accepted(*models);
  return OkStatus();
}

void ConfigUpdater::Start(std::function<void(const Status&)> on_started) {
  starter_ = StartThread("model_start", [this, on_started = std::move(on_started)] {
    if (manager_.WaitUntilAtRest(first_models_, kNoDeadline)) on_started(manager_.Failures(first_models_, "servable(s)"));
  });
  thread_ = StartThread("model_config", [this] { Work(); });
}

void ConfigUpdater::Reload(ModelConfigList config, std::function<void(const Status&)> done) {
  Enqueue({.config = std::move(config), .done = std::move(done)});
}

void ConfigUpdater::ReloadFile(std::function<void(const Status&)> done) {
  if (options_.file.empty()) return done(FailedPreconditionError("there is no --model_config_file"));
  Enqueue({.is_in_file = true, .done = std::move(done)});
}

void ConfigUpdater::Enqueue(Waiting next) {
  {
    MutexLock lock(mutex_);
    if (!stopping_ && waiting_.size() < kMaxWaiting) {
      waiting_.push_back(std::move(next));
      wake_.NotifyOne();
      return;
    }
  }
  next.done(UnavailableError("too many configurations are waiting, or the server is stopping"));
}

void ConfigUpdater::Stop() {
  std::deque<Waiting> refused;
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    refused = std::exchange(waiting_, {});
  }
  wake_.NotifyOne();
  for (const Waiting& one : refused) one.done(UnavailableError("the server is stopping"));
  for (std::jthread* thread : {&starter_, &thread_}) {
    if (thread->joinable()) thread->join();
  }
}

std::optional<ConfigUpdater::Waiting> ConfigUpdater::Next(TimePoint until) {
  MutexLock lock(mutex_);
  while (waiting_.empty() && !stopping_ && Clock::Steady().Now() < until) wake_.WaitUntil(mutex_, until);
  if (waiting_.empty()) return std::nullopt;
  Waiting next = std::move(waiting_.front());
  waiting_.pop_front();
  return next;
}

void ConfigUpdater::Work() {
  const bool polls = !options_.file.empty() && options_.poll_interval.count() > 0;
  TimePoint next_poll = polls ? Clock::Steady().Now() + options_.poll_interval : kNoDeadline;
  for (;;) {
    const std::optional<Waiting> next = Next(next_poll);
    if (next) {
      bool accepted = false;
      next->done(next->is_in_file ? ApplyFile(true) : Apply(next->config, "HandleReloadConfigRequest", accepted));
    } else if (Clock::Steady().Now() < next_poll) {
      return;  // stopping
    } else {
      PollFile();
      next_poll = Clock::Steady().Now() + options_.poll_interval;
    }
  }
}

Status ConfigUpdater::Apply(const ModelConfigList& config, std::string_view source, bool& accepted) {
  accepted = true;
  if (!config) {
    TFLS_INFO("Taking no action for empty config.");
    return OkStatus();
  }
  const StatusOr<std::vector<std::string>> changed =
      manager_.SetModels(*config, {.paths_must_exist = true, .labels_may_be_unavailable = options_.labels_may_be_unavailable});
  accepted = changed.ok();
  if (!accepted) return changed.status();
  TFLS_INFO("{}: the model config is applied: {} model(s), {} of them new or changed", source, config->size(), changed->size());
  options_.on_accepted(*config);
  if (manager_.WaitUntilAtRest(*changed, Clock::Steady().Now() + options_.time_limit)) return manager_.Failures(*changed, "model(s)");
  return DeadlineExceededError(fmt::format("The configuration is in force, and of its model(s) {} some are still loading after {} s",
                                           fmt::join(*changed, ", "), options_.time_limit.count()));
}

Status ConfigUpdater::ApplyFile(bool anyway) {
  TFLS_ASSIGN_OR_RETURN(const ModelConfigList models, ReadModelServerConfigFile(options_.file));
  if (!anyway && models == from_file_) return OkStatus();  // what HandleReloadConfigRequest said since then holds
  bool accepted = false;
  const Status status = Apply(models, options_.file, accepted);
  if (accepted) from_file_ = models;
  return status;
}

void ConfigUpdater::PollFile() {
  Status problem = ApplyFile(false);
  if (!problem.ok() && problem != file_problem_) TFLS_ERROR("{}: reloading the model config failed: {}", options_.file, problem.ToString());
  file_problem_ = std::move(problem);
}

}  // namespace tflite_serving
