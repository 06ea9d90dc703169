#include "api/request_sampler.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <utility>

#include <fmt/format.h>

#include "base/status.h"
#include "base/thread.h"
#include "base/unique_fd.h"
#include "codec/tfrecord_writer.h"
#include "telemetry/log.h"
#include "telemetry/trace_context.h"

namespace tflite_serving {
namespace {

constexpr mode_t kFileMode = 0640;  // they hold what clients sent

std::string FileName(const std::string& prefix, int number) {
  return number == 0 ? prefix + ".tfrecord" : fmt::format("{}.{}.tfrecord", prefix, number);
}

// Whether one of so many is sampled at this rate.
bool Draw(double rate) { return rate > 0 && static_cast<double>(NonzeroRandom()) <= rate * 0x1p64; }

}  // namespace

struct RequestSampler::Target {
  const RequestLogConfig config;
};

// Of the thread alone.
class RequestSampler::File {
 public:
  File(std::string prefix, const Options& options) : prefix_(std::move(prefix)), options_(options) {}

  Status Write(std::string_view record) {
    if (!fd_.valid() || size_ >= options_.max_file_bytes) TFLS_RETURN_IF_ERROR(Rotate());
    const off_t before = static_cast<off_t>(size_);
    for (std::string_view left = record; !left.empty();) {
      const ssize_t written = ::write(fd_.get(), left.data(), left.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) {
        const Status status = ErrnoToStatus(errno, FileName(prefix_, 0));
        if (::ftruncate(fd_.get(), before) != 0) fd_ = UniqueFd();  // no half of a record before the next: a new file, if it cannot be helped
        return status;
      }
      left.remove_prefix(static_cast<size_t>(written));
    }
    size_ += record.size();
    return OkStatus();
  }

 private:
  Status Rotate() {
    fd_ = UniqueFd();
    for (int number = options_.max_files - 1; number > 0; --number) {
      if (std::rename(FileName(prefix_, number - 1).c_str(), FileName(prefix_, number).c_str()) != 0 && errno != ENOENT) {
        return ErrnoToStatus(errno, FileName(prefix_, number));
      }
    }
    const std::string name = FileName(prefix_, 0);
    fd_ = UniqueFd(::open(name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, kFileMode));
    if (!fd_.valid()) return ErrnoToStatus(errno, name);
    size_ = 0;
    return OkStatus();
  }

  const std::string prefix_;
  const Options& options_;
  UniqueFd fd_;
  size_t size_ = 0;
};

RequestSampler::~RequestSampler() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.NotifyOne();
}

void RequestSampler::Configure(std::span<const ModelConfig> models) {
  auto targets = std::make_shared<Targets>();
  for (const ModelConfig& model : models) {
    if (model.request_log) (*targets)[model.name] = std::make_shared<const Target>(Target{*model.request_log});
  }
  const bool any = !targets->empty();
  targets_.store(std::move(targets));
  any_ = any;
  if (any && !thread_.joinable()) thread_ = StartThread("request_log", [this] { Work(); });
}

std::shared_ptr<const RequestSampler::Target> RequestSampler::Choose(std::string_view model) const {
  if (!any_.load(std::memory_order_relaxed)) return nullptr;
  const std::shared_ptr<const Targets> targets = targets_.load();
  const auto found = targets->find(model);
  return found != targets->end() && Draw(found->second->config.sampling_rate) ? found->second : nullptr;
}

void RequestSampler::Log(const std::shared_ptr<const Target>& target, tensorflow::serving::PredictionLog log) {
  using std::chrono::system_clock;
  log.mutable_log_metadata()->set_timestamp_secs(system_clock::to_time_t(system_clock::now()));
  log.mutable_log_metadata()->mutable_sampling_config()->set_sampling_rate(target->config.sampling_rate);
  std::string bytes = TfRecord(log.SerializeAsString());
  {
    const MutexLock lock(mutex_);
    if (waiting_bytes_ + bytes.size() > options_.max_waiting_bytes) return dropped_.Add(1);
    waiting_bytes_ += bytes.size();
    waiting_.push_back({target, std::move(bytes)});
  }
  wake_.NotifyOne();
}

void RequestSampler::Work() {
  std::map<std::string, File> files;  // by prefix
  std::string last_problem;           // said once
  for (;;) {
    Record record;
    {
      const MutexLock lock(mutex_);
      while (waiting_.empty() && !stopping_) wake_.Wait(mutex_);
      if (waiting_.empty()) return;
      record = std::move(waiting_.front());
      waiting_.pop_front();
      waiting_bytes_ -= record.bytes.size();
    }
    const std::string& prefix = record.target->config.filename_prefix;
    const Status status = files.try_emplace(prefix, prefix, options_).first->second.Write(record.bytes);
    (status.ok() ? written_ : failed_).Add(1);
    if (!status.ok() && last_problem != status.message()) TFLS_WARNING("A request could not be logged: {}", status.ToString());
    last_problem = status.message();
  }
}

}  // namespace tflite_serving
