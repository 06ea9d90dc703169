#include "api/warm_up_requests.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <fstream>
#include <future>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "api/inference_service.h"
#include "api/prediction_service.h"
#include "base/file.h"
#include "base/worker_pool.h"
#include "codec/tfrecord.h"
#include "telemetry/log.h"
#include "transport/grpc_call.h"
#include "wire/message_reader.h"

namespace tflite_serving {
namespace {

// PredictionLog's oneof log_type, by field number, and what takes such requests. Each log has its request in field 1, and each request but
// MultiInference's its ModelSpec in field 1.
struct LogType {
  std::string_view method;  // empty: nothing here takes them
  bool has_model_spec = true;
};
const std::map<uint32_t, LogType>& LogTypes() {
  static const std::map<uint32_t, LogType> types = {{2, {"/tensorflow.serving.PredictionService/Classify"}},
                                                    {3, {"/tensorflow.serving.PredictionService/Regress"}},
                                                    {4, {"/tensorflow.serving.PredictionService/MultiInference", false}},
                                                    {5, {}},  // SessionRunLog
                                                    {6, {"/tensorflow.serving.PredictionService/Predict"}},
                                                    {7, {}}};  // PredictStreamedLog
  return types;
}
constexpr uint32_t kRequestField = 1;

// Serialized: model_spec { name: "m" } of a request. Messages behind each other read as one merged message, so this gives a name to a request
// that has none, and leaves its signature as it is.
constexpr std::string_view kAnyModelSpec("\x0a\x03\x0a\x01m", 5);

// GrpcCall::request() has so many bytes behind each piece.
constexpr size_t kPaddingBytes = 64;

using Pieces = std::vector<std::span<const std::byte>>;

// The request of one record.
struct LoggedRequest {
  uint32_t log_type = 0;            // 0: none
  std::vector<std::string> pieces;  // each with its padding
};

// As protobuf merges: the last log type wins, and what one message has twice follows each other.
StatusOr<LoggedRequest> ParseLog(std::string_view record) {
  LoggedRequest request;
  MessageReader log{WireRange(record)};
  for (WireField field; log.Next(field);) {
    if (field.type != WireType::kLengthDelimited || !LogTypes().contains(field.number)) continue;
    if (field.number != request.log_type) request = {.log_type = field.number, .pieces = {}};
    MessageReader inside(field.range);
    for (WireField part; inside.Next(part);) {
      if (part.Is(kRequestField, WireType::kLengthDelimited)) request.pieces.push_back(part.range.ToString().append(kPaddingBytes, 0));
    }
    if (inside.malformed()) return InvalidArgumentError(inside.problem());
  }
  if (LogTypes().contains(request.log_type) && LogTypes().at(request.log_type).has_model_spec) {
    request.pieces.push_back(std::string(kAnyModelSpec).append(kPaddingBytes, 0));
  }
  if (log.malformed()) return InvalidArgumentError(log.problem());
  return request;
}

// A call that nobody waits for but this thread.
class LoggedCall : public GrpcCall {
 public:
  LoggedCall(Pieces pieces, const Cancellation& stop) : pieces_(std::move(pieces)), cancellation_(stop) {}

  std::span<const std::span<const std::byte>> request() const override { return pieces_; }
  void AlignNext(const std::byte* /*byte*/) override {}
  std::string_view metadata(std::string_view /*key*/) const override { return {}; }
  CallIds& ids() override { return ids_; }
  TimePoint deadline() const override { return kNoDeadline; }
  const Cancellation& cancellation() const override { return cancellation_; }
  Status Hold(size_t /*bytes*/) override { return OkStatus(); }  // one request at a time, from a file of a limited size
  std::span<std::byte> AllocateReply(size_t size_bytes) override {
    reply_.resize(size_bytes);
    return reply_;
  }
  void Finish(const Status& status) override { finished_.set_value(status); }

  Status Wait() { return finished_.get_future().get(); }

 private:
  const Pieces pieces_;
  CallIds ids_;
  const Cancellation& cancellation_;
  std::vector<std::byte> reply_;
  std::promise<Status> finished_;
};

// Has one servable, whatever is asked for.
class OnlyServable : public ServableSource {
 public:
  explicit OnlyServable(Servable& servable) : servable_(ServableHandle(), &servable) {}

  StatusOr<ServableHandle> GetServable(const ModelSpec& /*spec*/) const override { return servable_; }
  std::vector<VersionStatus> GetVersionStatuses(std::string_view /*name*/) const override { return {}; }
  bool HasModel(std::string_view /*name*/) const override { return false; }
  std::vector<std::string> ListModels() const override { return {}; }

 private:
  const ServableHandle servable_;  // owns nothing
};

class Replay {
 public:
  explicit Replay(Servable& servable)
      : source_(servable),
        workers_("warm_up", 1, 1),
        predict_(source_, workers_, Clock::Steady(), {}),
        infer_(source_, workers_, Clock::Steady(), {}) {
    for (const std::vector<GrpcMethod>& methods : {predict_.methods(), infer_.methods()}) {
      for (const GrpcMethod& method : methods) handlers_[method.path] = method.handler;
    }
  }

  Status Send(const LoggedRequest& request, const Cancellation& stop) const {
    const LogType& type = LogTypes().at(request.log_type);
    if (type.method.empty()) return UnimplementedError(fmt::format("Unsupported log_type for warmup: {}", request.log_type));
    Pieces pieces;
    for (const std::string& piece : request.pieces) pieces.push_back(std::as_bytes(std::span(piece)).first(piece.size() - kPaddingBytes));
    LoggedCall call(std::move(pieces), stop);
    handlers_.at(std::string(type.method))(call);
    return call.Wait();
  }

 private:
  const OnlyServable source_;
  WorkerPool workers_;
  PredictionService predict_;
  InferenceService infer_;
  std::map<std::string, GrpcHandler> handlers_;
};

}  // namespace

Status ReplayWarmupRequests(Servable& servable, std::istream& file, const std::string& path, int iterations, const Cancellation& stop) {
  const TimePoint start = Clock::Steady().Now();
  const Replay replay(servable);
  TfRecordReader reader(file);
  for (std::string record;;) {
    const StatusOr<bool> next = reader.Next(record);
    if (!next.ok()) {
      return Status(next.status().code(),
                    fmt::format("{}: {}. Please verify your warmup data is in TFRecord format.", path, next.status().message()));
    }
    if (!*next) break;
    if (reader.count() > kMaxWarmUpRecords) {
      return InvalidArgumentError(fmt::format("Number of warmup records exceeds the maximum ({}) at {}", kMaxWarmUpRecords, path));
    }
    const size_t number = reader.count() - 1;
    const StatusOr<LoggedRequest> request = ParseLog(record);
    if (!request.ok()) {
      return InvalidArgumentError(fmt::format("Failed to parse warmup record: {}: record {}: {}", path, number, request.status().message()));
    }
    for (int i = 0; i < std::max(iterations, 1) && request->log_type != 0; ++i) {
      if (stop.cancelled()) return CancelledError(fmt::format("{}: warming up was given up", path));
      const Status status = replay.Send(*request, stop);
      if (!status.ok()) return Status(status.code(), fmt::format("{}: record {}: {}", path, number, status.message()));
    }
  }
  const auto time = std::chrono::duration_cast<std::chrono::microseconds>(Clock::Steady().Now() - start);
  // The original's words.
  TFLS_INFO("Finished reading warmup data for model at {}. Number of warmup records read: {}. Elapsed time (microseconds): {}.", path, reader.count(),
            time.count());
  return OkStatus();
}

Status ReplayWarmupRequests(Servable& servable, const std::string& version_directory, int iterations, const Cancellation& stop) {
  const std::string path = fmt::format("{}/{}", version_directory, kWarmUpRequestsFile);
  TFLS_ASSIGN_OR_RETURN(const FileKind kind, GetFileKind(path));
  if (kind == FileKind::kMissing) return OkStatus();
  if (kind != FileKind::kFile) return InvalidArgumentError(fmt::format("{}: not a regular file", path));
  std::ifstream file(path, std::ios::binary);
  if (!file) return ErrnoToStatus(errno, path);
  return ReplayWarmupRequests(servable, file, path, iterations, stop);
}

}  // namespace tflite_serving
