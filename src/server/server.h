// The whole server: takes its configuration, opens the ports, loads the models, and ends all of it in order.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>

#include "api/access_control.h"
#include "api/access_log.h"
#include "api/health_service.h"
#include "api/inference_service.h"
#include "api/model_service.h"
#include "api/prediction_service.h"
#include "api/reflection_service.h"
#include "api/request_record.h"
#include "api/rest_pages.h"
#include "api/rest_v1.h"
#include "base/mutex.h"
#include "base/status.h"
#include "base/worker_pool.h"
#include "config/server_options.h"
#include "lifecycle/manager.h"
#include "server/batched_models.h"
#include "server/config_updater.h"
#include "server/server_metrics.h"
#include "server/server_tls.h"
#include "storage/remote_models.h"
#include "transport/grpc/grpc_server.h"
#include "transport/http/http_server.h"

namespace tflite_serving {

// Thread-compatible: one thread starts it, and the same or another one shuts it down.
class Server {
 public:
  // Returns when both ports answer: requests for a model that is still being loaded with UNAVAILABLE. `on_started` is called once, on a thread of the
  // server, when no model of the first configuration is loading any more and the log lines that scripts wait for ("Exporting HTTP/REST API at…") are
  // written; with what could not be served.
  // Errors: a configuration that is refused, or whatever kept a port from opening.
  static StatusOr<std::unique_ptr<Server>> Start(const ServerOptions& options, std::function<void(const Status& failures)> on_started);

  // As Shutdown.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Says that it is not ready (/readyz, grpc.health.v1), and serves on.
  void BeginDrain();
  // Refuses new work, gives requests in flight --drain_timeout_seconds to finish, then cancels them. Calling it again does nothing.
  void Shutdown();

  // Reads the files again that the server was given: --model_config_file and --api_keys_file are applied, the access log is opened anew. Returns at
  // once; what is wrong with them is logged. Thread-safe.
  void Reload();

 private:
  // What is opened before the server is made; null, but for TLS: not asked for.
  struct Attachments {
    std::unique_ptr<AccessLog> access_log;
    std::unique_ptr<AccessControl> access;
    std::unique_ptr<Tracer> tracer;
    std::unique_ptr<ServerTls> tls;  // never null
  };
  static StatusOr<Attachments> OpenAttachments(const ServerOptions& options);

  // PERMISSION_DENIED if these models, which a client of HandleReloadConfigRequest gave, name code that they are not configured with already.
  Status CheckBringsNoCode(const ModelConfigList& models) const;
  // `original_metrics_path`: of --monitoring_config_file; empty: none.
  Server(const ServerOptions& options, const std::optional<BatchingParameters>& batching, const std::string& original_metrics_path,
         Attachments attachments);
  // Tells grpc.health.v1 which of these models have a version to serve. The server as a whole serves if all models have.
  void UpdateHealth(std::span<const std::string> names);
  Status OpenGrpc();
  Status OpenRest();
  // Whether the server is ready, by --readiness and so many models, of which some have nothing to serve.
  bool IsReady(size_t num_models, size_t num_not_serving) const;
  // /readyz: whether it is, and what each model says that has nothing to serve.
  RestPage Readiness() const;
  RestPages::Sources Pages(const std::string& original_metrics_path);
  // What is counted of requests and models.
  void CollectCounts(MetricsPage& page);
  // The page of these families, now: that, and how the process is. Once REST is open.
  std::string MetricsText(std::span<const MetricFamily* const> families);
  std::vector<std::optional<int64_t>> ReadCounters(const std::vector<std::string>& names);
  // The original's words, for which scripts wait before they post.
  void Announce() const;

  const ServerOptions options_;
  std::atomic<bool> has_started_ = false;  // no model of the first configuration is loading
  std::atomic<bool> is_draining_ = false;
  // In the order of who uses whom: each is destroyed before those above it.
  HealthService health_service_;
  Mutex health_mutex_;                                                // one UpdateHealth at a time, so that an older state never comes last
  std::set<std::string> not_serving_ TFLS_GUARDED_BY(health_mutex_);  // models
  RunCounters run_counters_;
  Saturation saturation_;
  WorkerPool workers_;
  const std::unique_ptr<BatchedModels> batched_models_;  // null: nothing is batched
  RemoteModels remote_models_;
  Manager manager_;
  RequestMetrics request_metrics_;
  RequestSampler sampler_{{}};
  const Attachments attached_;
  const HttpHeaders cors_headers_;                  // none: pages of other origins must not use the API
  const std::shared_ptr<InFlightBytes> in_flight_;  // of both ports
  const RequestObservers observers_;
  PredictionService prediction_service_;
  InferenceService inference_service_;
  ModelService model_service_;
  RestV1 rest_v1_;
  RestPages rest_pages_;
  ConfigUpdater config_updater_;
  std::unique_ptr<ReflectionService> reflection_service_;
  std::unique_ptr<GrpcServer> grpc_;
  std::unique_ptr<HttpServer> http_;
};

}  // namespace tflite_serving
