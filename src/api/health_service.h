// grpc.health.v1.Health: what load balancers and Kubernetes ask.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "grpc/health/v1/health.pb.h"
#include "transport/grpc_call.h"
#include "transport/grpc_stream_call.h"

namespace tflite_serving {

// Thread-safe. Must outlive the server of its methods. At first the service "", the server as a whole, is SERVING, and no other is known.
class HealthService {
 public:
  // The service's methods, for the gRPC server. They borrow this object.
  //   Check  NOT_FOUND for a service that was never set
  //   List   all that were set
  //   Watch  SERVICE_UNKNOWN for one that was never set, then every change as it comes; a slow client may miss changes, never the last one
  std::vector<GrpcMethod> methods();
  std::vector<GrpcStreamMethod> stream_methods();

  // What is answered for `service` from now on.
  void SetServing(const std::string& service, bool serving);
  // `service` is unknown from now on.
  void Forget(const std::string& service);
  // Every service is NOT_SERVING from now on, whatever is set later.
  void Shutdown();

 private:
  using ServingStatus = grpc::health::v1::HealthCheckResponse::ServingStatus;
  class Watcher;

  void WakeWatchers();
  // SERVICE_UNKNOWN if it was never set.
  ServingStatus StatusOf(const std::string& service) const TFLS_REQUIRES(mutex_);
  void Check(GrpcCall& call);
  void List(GrpcCall& call);

  mutable Mutex mutex_;
  std::map<std::string, bool> serving_ TFLS_GUARDED_BY(mutex_){{"", true}};
  bool shut_down_ TFLS_GUARDED_BY(mutex_) = false;
  std::set<std::shared_ptr<GrpcWaker>> watchers_ TFLS_GUARDED_BY(mutex_);
};

}  // namespace tflite_serving
