// Requests with their responses, logged to files as a model's logging_config says: the one thing that keeps what clients send.
//
//   logging_config { log_collector_config { filename_prefix: "/var/log/digits" } sampling_config { sampling_rate: 0.01 } }
//
// PREFIX.tfrecord is a TFRecord file of tensorflow.serving.PredictionLog messages, as assets.extra/tf_serving_warmup_requests is one. When it is
// full, and at the start, it becomes PREFIX.1.tfrecord, that one PREFIX.2.tfrecord, and so on; the last is dropped. Several models must not have one
// prefix.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <thread>

#include "base/mutex.h"
#include "servable/model_config.h"
#include "telemetry/metrics.h"
#include "tensorflow_serving/apis/prediction_log.pb.h"

namespace tflite_serving {

// Thread-safe.
class RequestSampler {
 public:
  struct Options {
    size_t max_file_bytes = size_t{64} << 20;  // a file that has so many is full
    int max_files = 8;                         // of each model, at least 1
    // Records that may wait for the disk; what comes beyond is dropped and counted.
    size_t max_waiting_bytes = size_t{64} << 20;
  };
  // The files of one model.
  struct Target;

  explicit RequestSampler(const Options& options) : options_(options) {}
  // Writes what waits.
  ~RequestSampler();
  RequestSampler(const RequestSampler&) = delete;
  RequestSampler& operator=(const RequestSampler&) = delete;

  // From now on the requests of these models, and of no others. One call at a time.
  void Configure(std::span<const ModelConfig> models);

  // Where a request of this model is to be logged; null: it is not. Costs nothing where no model is logged.
  std::shared_ptr<const Target> Choose(std::string_view model) const;
  // Never waits. Fills in the rest of the metadata: the time, and how much is sampled.
  void Log(const std::shared_ptr<const Target>& target, tensorflow::serving::PredictionLog log);

  struct Counts {
    uint64_t written = 0;
    uint64_t dropped = 0;  // there was no room
    uint64_t failed = 0;   // the disk did not take them
  };
  Counts counts() const { return {.written = written_.value(), .dropped = dropped_.value(), .failed = failed_.value()}; }

 private:
  using Targets = std::map<std::string, std::shared_ptr<const Target>, std::less<>>;
  class File;
  struct Record {
    std::shared_ptr<const Target> target;
    std::string bytes;
  };

  void Work();

  const Options options_;
  std::atomic<bool> any_ = false;
  std::atomic<std::shared_ptr<const Targets>> targets_;
  Counter written_, dropped_, failed_;
  Mutex mutex_;
  CondVar wake_;
  std::deque<Record> waiting_ TFLS_GUARDED_BY(mutex_);
  size_t waiting_bytes_ TFLS_GUARDED_BY(mutex_) = 0;
  bool stopping_ TFLS_GUARDED_BY(mutex_) = false;
  std::jthread thread_;  // since there is a model to be logged; last: it uses the members above
};

}  // namespace tflite_serving
