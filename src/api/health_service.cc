#include "api/health_service.h"

#include <optional>
#include <utility>

#include <fmt/format.h>

#include "api/grpc_message.h"

namespace tflite_serving {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

// One Watch. It asks for the status whenever it is woken, so that what it says last is what was set last, whoever set it.
class HealthService::Watcher final : public GrpcStreamHandler {
 public:
  Watcher(HealthService& service, GrpcStreamCall& call) : service_(service), call_(call), waker_(call.waker()) {}
  ~Watcher() override {
    const MutexLock lock(service_.mutex_);
    service_.watchers_.erase(waker_);
  }

  void OnMessage(std::string_view message) override {
    HealthCheckRequest request;
    if (name_) return call_.Finish(UnimplementedError("the method takes one request message, and more came"));
    if (!request.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
      return call_.Finish(InvalidArgumentError("the request is not a valid grpc.health.v1.HealthCheckRequest"));
    }
    name_ = request.service();
    {
      const MutexLock lock(service_.mutex_);
      service_.watchers_.insert(waker_);
    }
    OnWake();
  }

  void OnEnd() override {
    if (!name_) call_.Finish(UnimplementedError("the method takes one request message, and none came"));
  }

  void OnWake() override {
    HealthCheckResponse response;
    {
      const MutexLock lock(service_.mutex_);
      response.set_status(service_.StatusOf(*name_));
    }
    if (std::exchange(told_, response.status()) != response.status()) call_.Send(response.SerializeAsString());
  }

 private:
  HealthService& service_;
  GrpcStreamCall& call_;
  const std::shared_ptr<GrpcWaker> waker_;
  std::optional<std::string> name_;    // of the service that is watched
  std::optional<ServingStatus> told_;  // to the client
};

std::vector<GrpcMethod> HealthService::methods() {
  return {{"/grpc.health.v1.Health/Check", [this](GrpcCall& call) { Check(call); }},
          {"/grpc.health.v1.Health/List", [this](GrpcCall& call) { List(call); }}};
}

std::vector<GrpcStreamMethod> HealthService::stream_methods() {
  return {{"/grpc.health.v1.Health/Watch", [this](GrpcStreamCall& call) { return std::make_unique<Watcher>(*this, call); }}};
}

HealthService::ServingStatus HealthService::StatusOf(const std::string& service) const {
  const auto found = serving_.find(service);
  if (found == serving_.end()) return HealthCheckResponse::SERVICE_UNKNOWN;
  return found->second && !shut_down_ ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING;
}

void HealthService::SetServing(const std::string& service, bool serving) {
  {
    const MutexLock lock(mutex_);
    const auto [entry, is_new] = serving_.try_emplace(service, serving);
    if (!is_new && std::exchange(entry->second, serving) == serving) return;
  }
  WakeWatchers();
}

void HealthService::Forget(const std::string& service) {
  {
    const MutexLock lock(mutex_);
    serving_.erase(service);
  }
  WakeWatchers();
}

void HealthService::Shutdown() {
  {
    const MutexLock lock(mutex_);
    shut_down_ = true;
  }
  WakeWatchers();
}

void HealthService::WakeWatchers() {
  std::set<std::shared_ptr<GrpcWaker>> watchers;
  {
    const MutexLock lock(mutex_);
    watchers = watchers_;
  }
  for (const std::shared_ptr<GrpcWaker>& watcher : watchers) watcher->Wake();
}

void HealthService::Check(GrpcCall& call) {
  HealthCheckRequest request;
  if (const Status status = ParseMessage(call, request); !status.ok()) return call.Finish(status);
  HealthCheckResponse response;
  {
    const MutexLock lock(mutex_);
    response.set_status(StatusOf(request.service()));
  }
  if (response.status() == HealthCheckResponse::SERVICE_UNKNOWN) {
    return call.Finish(NotFoundError(fmt::format("unknown service \"{}\"", request.service())));
  }
  FinishWithMessage(call, response);
}

void HealthService::List(GrpcCall& call) {
  grpc::health::v1::HealthListResponse response;
  {
    const MutexLock lock(mutex_);
    for (const auto& [service, serving] : serving_) (*response.mutable_statuses())[service].set_status(StatusOf(service));
  }
  FinishWithMessage(call, response);
}

}  // namespace tflite_serving
