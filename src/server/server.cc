#include "server/server.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "api/openapi.h"
#include "base/clock.h"
#include "base/thread.h"
#include "base/usable_cpus.h"
#include "base/usable_memory.h"
#include "codec/metadata_json.h"
#include "config/model_server_config.h"
#include "config/monitoring_config.h"
#include "server/admin_pages.h"
#include "server/model_loading.h"
#include "telemetry/log.h"
#include "telemetry/process_metrics.h"

namespace tflite_serving {
namespace {

// Requests that may wait for a worker; one more is refused.
constexpr size_t kMaxQueuedRequests = 4096;

// The names by which clients ask grpc.health.v1: the whole server, the original's short names, and the full ones.
constexpr std::string_view kHealthServices[] = {"", "PredictionService", "ModelService", "tensorflow.serving.PredictionService",
                                                "tensorflow.serving.ModelService"};

size_t MaxInFlightBytes(const ServerOptions& options) {
  return options.max_in_flight_mb > 0 ? static_cast<size_t>(options.max_in_flight_mb) << 20 : UsableMemoryBytes() / 2;
}

std::chrono::nanoseconds MaxQueueWait(const ServerOptions& options) {
  return options.max_queue_wait_ms == 0 ? std::chrono::nanoseconds::max() : std::chrono::milliseconds(options.max_queue_wait_ms);
}

Manager MakeManager(const ServerOptions& options, RemoteFiles& remote, BatchedModels* batched, WorkerPool& workers, RunCounters& run_counters,
                    StateListener on_change) {
  ModelLoaders loaders = MakeLoaders(options, batched, &run_counters);
  ManagerOptions lifecycle = LifecycleOptions(options, &remote);
  lifecycle.memory_budget = {
      .bytes = MemoryBudgetBytes(options), .reload = std::move(loaders.reload), .workers = &workers, .num_load_threads = lifecycle.num_load_threads};
  return {std::move(loaders.load), lifecycle, std::move(on_change)};
}

// What a gRPC method tells or changes.
Scope ScopeOfMethod(std::string_view path) {
  if (path.ends_with("/HandleReloadConfigRequest")) return Scope::kAdmin;
  return path.ends_with("/GetModelMetadata") || path.ends_with("/GetModelStatus") ? Scope::kMetadata : Scope::kInference;
}

bool HasAdminApi(const ServerOptions& options) {
  if (options.admin_api != "auto") return options.admin_api == "on";
  return !options.api_keys_file.empty() || options.bind_address == "::1" || options.bind_address.starts_with("127.");
}

// Of others the processor time would fall when they end.
constexpr std::string_view kLastingThreads[] = {"http_io", "grpc_io", "worker", "batch", "model_poll", "model_config", "model_unload", "tls_reload"};
constexpr std::string_view kVersion = TFLITE_SERVING_VERSION;

}  // namespace

Server::Server(const ServerOptions& options, const std::optional<BatchingParameters>& batching, const std::string& original_metrics_path,
               Attachments attachments)
    : options_(options),
      workers_("worker", {.num_threads = NumWorkers(options), .max_queued = kMaxQueuedRequests, .max_wait = MaxQueueWait(options)}),
      // With a budget a model is loaded while requests wait for it, and may be unloaded before it has had a batch.
      batched_models_(batching ? std::make_unique<BatchedModels>(*batching, options.enable_per_model_batching_parameters,
                                                                 options.model_memory_budget_mb == 0, MaxQueueWait(options))
                               : nullptr),
      remote_models_(RemoteOptions(options), ProcessEnvironment()),
      manager_(MakeManager(options, remote_models_, batched_models_.get(), workers_, run_counters_,
                           [this](const std::string& name) { UpdateHealth({&name, 1}); })),
      request_metrics_(manager_),
      attached_(std::move(attachments)),
      cors_headers_(options.rest_api_enable_cors_support ? CorsHeaders(attached_.access != nullptr) : HttpHeaders()),
      in_flight_(std::make_shared<InFlightBytes>(MaxInFlightBytes(options))),
      observers_{.metrics = &request_metrics_, .access_log = attached_.access_log.get(), .tracer = attached_.tracer.get(), .sampler = &sampler_},
      prediction_service_(manager_, workers_, Clock::Steady(),
                          {.tensor_content_in_replies = options.enable_serialization_as_tensor_content,
                           .check_method_names = options.enable_signature_method_name_check,
                           .observers = observers_}),
      inference_service_(manager_, workers_, Clock::Steady(),
                         {.check_method_names = options.enable_signature_method_name_check, .observers = observers_}),
      model_service_(
          manager_, workers_,
          [this](const tensorflow::serving::ModelServerConfig& config, std::function<void(const Status&)> done) {
            StatusOr<ModelConfigList> models = CheckModelServerConfig(config);
            if (!models.ok()) return done(models.status());
            if (Status code = CheckBringsNoCode(*models); !code.ok()) return done(code);
            config_updater_.Reload(*std::move(models), std::move(done));
          },
          [this](const std::vector<std::string>& names) { return ReadCounters(names); }, observers_),
      rest_v1_(manager_, workers_, Clock::Steady(),
               {.timeout = std::chrono::milliseconds(options.rest_api_timeout_in_ms),
                .tensor_content_in_replies = options.enable_serialization_as_tensor_content,
                .headers = cors_headers_,
                .check_method_names = options.enable_signature_method_name_check,
                .profile = HasAdminApi(options),
                .observers = observers_}),
      rest_pages_(Pages(original_metrics_path), workers_, rest_v1_, attached_.access.get(), observers_, cors_headers_),
      config_updater_(manager_, {.file = options.model_config_file,
                                 .poll_interval = std::chrono::seconds(options.model_config_file_poll_wait_seconds),
                                 .time_limit = std::chrono::seconds(options.reload_timeout_seconds),
                                 .labels_may_be_unavailable = options.allow_version_labels_for_unavailable_models,
                                 .on_accepted = [this](const std::vector<ModelConfig>& models) { sampler_.Configure(models); }}) {}

Server::~Server() { Shutdown(); }

StatusOr<Server::Attachments> Server::OpenAttachments(const ServerOptions& options) {
  Attachments opened;
  if (!options.access_log.empty()) {
    TFLS_ASSIGN_OR_RETURN(opened.access_log, AccessLog::Open(options.access_log));
  }
  if (!options.api_keys_file.empty()) {
    TFLS_ASSIGN_OR_RETURN(std::vector<ApiKey> keys, ReadApiKeysFile(options.api_keys_file));
    opened.access = std::make_unique<AccessControl>(std::move(keys), Clock::Steady());
  }
  TFLS_ASSIGN_OR_RETURN(opened.tls, ServerTls::Create(options));
  TracerOptions tracer;
  const auto variable = [](const char* name) -> const char* { return std::getenv(name); };  // NOLINT(concurrency-mt-unsafe): nobody sets any
  const Status environment = ReadTracerEnvironment(variable, tracer);
  if (!options.otlp_traces_endpoint.empty()) tracer.endpoint = options.otlp_traces_endpoint;
  if (tracer.endpoint.empty()) return opened;
  TFLS_RETURN_IF_ERROR(environment);
  tracer.resource.emplace_back("service.version", std::string(kVersion));
  TFLS_ASSIGN_OR_RETURN(opened.tracer, Tracer::Create(std::move(tracer)));
  return opened;
}

StatusOr<std::unique_ptr<Server>> Server::Start(const ServerOptions& options, std::function<void(const Status&)> on_started) {
  TFLS_ASSIGN_OR_RETURN(const std::optional<BatchingParameters> batching, ReadBatchingParameters(options));
  std::string original_metrics_path;
  if (!options.monitoring_config_file.empty()) {
    TFLS_ASSIGN_OR_RETURN(original_metrics_path, ReadMonitoringConfigFile(options.monitoring_config_file));
  }
  TFLS_ASSIGN_OR_RETURN(Attachments attachments, OpenAttachments(options));
  RaiseDescriptorLimit();
  ReturnLargeMemory();
  std::unique_ptr<Server> server(new Server(options, batching, original_metrics_path, std::move(attachments)));
  TFLS_RETURN_IF_ERROR(server->config_updater_.ApplyFirst({.name = options.model_name, .base_path = options.model_base_path}));
  server->UpdateHealth(server->manager_.ListModels());
  TFLS_RETURN_IF_ERROR(server->OpenGrpc());
  TFLS_RETURN_IF_ERROR(server->OpenRest());
  server->manager_.StartPolling(std::chrono::seconds(std::max(options.file_system_poll_wait_seconds, 0)));
  server->config_updater_.Start([raw = server.get(), on_started = std::move(on_started)](const Status& failures) {
    raw->has_started_ = true;
    raw->UpdateHealth(raw->manager_.ListModels());  // the manager's thread may be about to: who reads the log finds it done
    if (failures.ok() || !raw->options_.strict_start) raw->Announce();
    on_started(failures);
  });
  return server;
}

Status Server::CheckBringsNoCode(const ModelConfigList& models) const {
  if (options_.allow_code_in_reload_requests || !models) return OkStatus();
  for (const ModelConfig& model : *models) {
    const std::optional<ModelConfig> known = model.load_options.name_code() ? manager_.ConfigOf(model.name) : std::nullopt;
    if (!model.load_options.name_code() || (known && known->base_path == model.base_path && known->load_options == model.load_options)) continue;
    return {
        StatusCode::kPermissionDenied,
        fmt::format("Model {} names code to run (a custom servable, a plug-in or operators), which comes from --model_config_file, or by a request "
                    "with --allow_code_in_reload_requests",
                    model.name)};
  }
  return OkStatus();
}

void Server::UpdateHealth(std::span<const std::string> names) {
  const MutexLock lock(health_mutex_);
  for (const std::string& name : names) {
    const std::vector<VersionStatus> versions = manager_.GetVersionStatuses(name);
    const bool available = std::ranges::find(versions, VersionState::kAvailable, &VersionStatus::state) != versions.end();
    if (!manager_.HasModel(name)) {
      health_service_.Forget(name);
      not_serving_.erase(name);
      continue;
    }
    health_service_.SetServing(name, available);
    if (available) {
      not_serving_.erase(name);
    } else {
      not_serving_.insert(name);
    }
  }
  const bool ready = IsReady(manager_.ListModels().size(), not_serving_.size());
  for (const std::string_view name : kHealthServices) health_service_.SetServing(std::string(name), ready);
}

bool Server::IsReady(size_t num_models, size_t num_not_serving) const {
  if (is_draining_) return false;
  if (options_.readiness == "started") return has_started_;
  if (options_.readiness == "any_model") return num_models == 0 || num_not_serving < num_models;
  return num_not_serving == 0;
}

RestPage Server::Readiness() const {
  const std::vector<std::string> models = manager_.ListModels();
  std::vector<std::pair<std::string, std::string>> not_serving;
  for (const std::string& name : models) {
    const std::vector<VersionStatus> versions = manager_.GetVersionStatuses(name);
    if (std::ranges::find(versions, VersionState::kAvailable, &VersionStatus::state) != versions.end()) continue;
    const Status problem = manager_.Problem(name);
    std::string why = problem.ok() ? "no version yet" : problem.message();
    if (!versions.empty()) {
      const VersionStatus& highest = versions.front();
      why = fmt::format("version {} is {}{}{}", highest.version, VersionStateName(highest.state), highest.status.ok() ? "" : ": ",
                        highest.status.message());
    }
    not_serving.emplace_back(name, std::move(why));
  }
  const bool ready = IsReady(models.size(), not_serving.size());
  return {.status = ready ? 200 : 503, .content_type = "application/json", .body = ReadinessJson(ready, is_draining_, not_serving)};
}

RestPages::Sources Server::Pages(const std::string& original_metrics_path) {
  RestPages::Sources sources;
  sources["/openapi.json"] = {[](const HttpRequest&) { return RestPage{.content_type = "application/json", .body = std::string(OpenApiDocument())}; },
                              true, Scope::kMetadata};
  sources["/healthz"] = {[](const HttpRequest&) { return RestPage{.content_type = "text/plain", .body = "ok\n"}; }};
  sources["/readyz"] = {[this](const HttpRequest&) { return Readiness(); }};
  const auto page_of = [this](std::span<const MetricFamily* const> families) {
    const auto page = [this, families](const HttpRequest&) {
      return RestPage{.content_type = MetricsPage::kContentType, .body = MetricsText(families)};
    };
    return RestPages::Source{page, true, Scope::kMetrics};
  };
  if (!options_.metrics_path.empty()) sources[options_.metrics_path] = page_of(metrics::kOurs);
  if (!original_metrics_path.empty()) sources[original_metrics_path] = page_of(metrics::kAll);
  if (HasAdminApi(options_)) AddAdminPages(sources, [this] { Reload(); });
  return sources;
}

Status Server::OpenGrpc() {
  if (options_.port == 0 && options_.grpc_socket_path.empty()) return OkStatus();
  GrpcServerOptions grpc{
      .bind_address = options_.bind_address, .port = options_.port, .unix_socket_path = options_.grpc_socket_path, .num_threads = UsableCpus()};
  grpc.limits.max_receive_message_bytes = std::min(static_cast<size_t>(options_.grpc_max_message_bytes), in_flight_->limit());
  GrpcChannelArgumentMap arguments;
  for (const GrpcChannelArgument& argument : options_.grpc_channel_arguments) arguments[argument.key] = argument.value;
  SetChannelArguments(arguments, grpc.limits);
  grpc.max_connections = static_cast<size_t>(options_.max_connections);
  grpc.max_connections_per_address = static_cast<size_t>(options_.max_connections_per_address);
  grpc.in_flight = in_flight_;
  grpc.tls = attached_.tls->grpc();
  std::vector<GrpcMethod> methods = prediction_service_.methods();
  std::ranges::move(inference_service_.methods(), std::back_inserter(methods));
  std::ranges::move(model_service_.methods(), std::back_inserter(methods));
  if (attached_.access != nullptr) Guard(methods, ScopeOfMethod, *attached_.access, observers_);
  std::ranges::move(health_service_.methods(), std::back_inserter(methods));
  std::vector<GrpcStreamMethod> stream_methods = health_service_.stream_methods();
  reflection_service_ = std::make_unique<ReflectionService>(methods, stream_methods);
  std::ranges::move(reflection_service_->stream_methods(), std::back_inserter(stream_methods));
  TFLS_ASSIGN_OR_RETURN(grpc_, GrpcServer::Create(grpc, methods, stream_methods));
  return OkStatus();
}

Status Server::OpenRest() {
  if (options_.rest_api_port == 0 && options_.rest_api_socket_path.empty()) return OkStatus();
  HttpServerOptions http{.port = std::nullopt,
                         .unix_socket_path = options_.rest_api_socket_path,
                         .num_threads = options_.rest_api_num_threads > 0 ? options_.rest_api_num_threads : UsableCpus()};
  if (options_.rest_api_port != 0) http.port = static_cast<uint16_t>(options_.rest_api_port);
  http.error_headers = cors_headers_;
  if (!options_.bind_address.empty()) http.addresses = {options_.bind_address};
  http.limits.max_body_bytes = std::min(static_cast<size_t>(options_.max_body_bytes), in_flight_->limit());
  http.max_connections = static_cast<size_t>(options_.max_connections);
  http.max_connections_per_address = static_cast<size_t>(options_.max_connections_per_address);
  http.in_flight = in_flight_;
  http.tls = attached_.tls->rest();
  http.limits.min_gzip_bytes = static_cast<size_t>(options_.rest_api_min_gzip_bytes);
  TFLS_ASSIGN_OR_RETURN(http_, HttpServer::Create(http, rest_pages_));
  http_->Start();
  return OkStatus();
}

void Server::CollectCounts(MetricsPage& page) {
  request_metrics_.Collect(page);
  manager_.Collect(page);
  remote_models_.Collect(page);
  if (batched_models_ != nullptr) batched_models_->scheduler().metrics().Collect(page, batched_models_->thread_pool_name());
  page.Add(metrics::kTfGraphRuns, {}, static_cast<double>(run_counters_.runs.value()));
  page.Add(metrics::kTfGraphRunTime, {}, static_cast<double>(run_counters_.nanoseconds.value()) / metrics::kTicksPerMicrosecond);
}

std::string Server::MetricsText(std::span<const MetricFamily* const> families) {
  MetricsPage page(families);
  CollectCounts(page);
  const TimePoint now = Clock::Steady().Now();
  CollectPool("worker", workers_.load(), now, saturation_, page);
  if (batched_models_ != nullptr) CollectPool("batch", batched_models_->scheduler().load(), now, saturation_, page);
  for (const auto& [name, times] : ReadThreadTimes()) {
    if (std::ranges::find(kLastingThreads, name) == std::end(kLastingThreads)) continue;
    page.Add(metrics::kThreadCpu, {name}, std::chrono::duration<double>(times.cpu).count());
    if (name.ends_with("_io")) CollectThreads(name, times.count, times.cpu, now, saturation_, page);
  }
  CollectThreads("cpu", UsableCpus(), ProcessCpuTime(), now, saturation_, page);
  if (attached_.tracer != nullptr) {
    const Tracer::Counts spans = attached_.tracer->counts();
    page.Add(metrics::kTraceSpans, {"exported"}, static_cast<double>(spans.exported));
    page.Add(metrics::kTraceSpans, {"dropped"}, static_cast<double>(spans.dropped));
    page.Add(metrics::kTraceSpans, {"failed"}, static_cast<double>(spans.failed));
  }
  const RequestSampler::Counts logged = sampler_.counts();
  page.Add(metrics::kLoggedRequests, {"written"}, static_cast<double>(logged.written));
  page.Add(metrics::kLoggedRequests, {"dropped"}, static_cast<double>(logged.dropped));
  page.Add(metrics::kLoggedRequests, {"failed"}, static_cast<double>(logged.failed));
  if (attached_.access_log != nullptr) page.Add(metrics::kAccessLogDropped, {}, static_cast<double>(attached_.access_log->dropped()));
  page.Add(metrics::kBuildInfo, {kVersion}, 1);
  CollectProcessMetrics(page);
  page.Add(metrics::kInFlightBytes, {}, static_cast<double>(in_flight_->used()));
  page.Add(metrics::kConnections, {"rest"}, static_cast<double>(http_->num_connections()));
  page.Add(metrics::kConnectionsRefused, {"rest"}, static_cast<double>(http_->num_refused_connections()));
  http_->refusals().ForEach(
      [&](int code, uint64_t count) { page.Add(metrics::kTransportRefusals, {"rest", fmt::to_string(code)}, static_cast<double>(count)); });
  if (grpc_ != nullptr) {
    page.Add(metrics::kConnections, {"grpc"}, static_cast<double>(grpc_->num_connections()));
    page.Add(metrics::kConnectionsRefused, {"grpc"}, static_cast<double>(grpc_->num_refused_connections()));
    grpc_->refusals().ForEach([&](int code, uint64_t count) {
      const std::string name =
          code < static_cast<int>(kNumStatusCodes) ? std::string(StatusCodeName(static_cast<StatusCode>(code))) : fmt::to_string(code);
      page.Add(metrics::kTransportRefusals, {"grpc", name}, static_cast<double>(count));
    });
  }
  attached_.tls->Collect(*http_, grpc_.get(), page);
  return page.Text();
}

std::vector<std::optional<int64_t>> Server::ReadCounters(const std::vector<std::string>& names) {
  MetricsPage page(metrics::kOriginals);
  CollectCounts(page);
  std::vector<std::optional<int64_t>> values;
  for (std::string name : names) {
    std::ranges::replace(name, '/', ':');
    const std::optional<double> value = page.Sum(name);
    values.push_back(value ? std::optional(static_cast<int64_t>(*value)) : std::nullopt);
  }
  return values;
}

void Server::Announce() const {
  const std::string host = options_.bind_address.empty() ? "0.0.0.0" : options_.bind_address;
  if (options_.port != 0) TFLS_INFO("Running gRPC ModelServer at {}:{} ...", host, grpc_->port());
  if (!options_.grpc_socket_path.empty()) TFLS_INFO("Running gRPC ModelServer at UNIX socket {} ...", options_.grpc_socket_path);
  if (options_.rest_api_port != 0) TFLS_INFO("Exporting HTTP/REST API at:localhost:{} ...", http_->port());
  if (!options_.rest_api_socket_path.empty()) TFLS_INFO("Exporting HTTP/REST API at UNIX socket {} ...", options_.rest_api_socket_path);
}

void Server::Reload() {
  if (attached_.access_log != nullptr) attached_.access_log->Reopen();
  if (attached_.access != nullptr) {
    StatusOr<std::vector<ApiKey>> keys = ReadApiKeysFile(options_.api_keys_file);
    if (keys.ok()) {
      attached_.access->Replace(*std::move(keys));
    } else {
      TFLS_ERROR("The API keys stay as they are: {}", keys.status().ToString());
    }
  }
  if (options_.model_config_file.empty()) return;
  config_updater_.ReloadFile([file = options_.model_config_file](const Status& status) {
    if (!status.ok()) TFLS_ERROR("{}: reloading the model config failed: {}", file, status.ToString());
  });
}

void Server::BeginDrain() {
  is_draining_ = true;
  health_service_.Shutdown();
}

void Server::Shutdown() {
  const TimePoint deadline = Clock::Steady().Now() + std::chrono::seconds(options_.drain_timeout_seconds);
  BeginDrain();
  manager_.Stop();
  config_updater_.Stop();   // so that no HandleReloadConfigRequest is waited for
  std::jthread http_drain;  // both at the same time: neither may eat up the other's
  if (http_ != nullptr) http_drain = StartThread("http_drain", [&] { http_->Shutdown(deadline); });
  if (grpc_ != nullptr) grpc_->Shutdown(deadline);
  if (http_drain.joinable()) http_drain.join();
  // Requests that were given up may still be here, with tasks of the services.
  workers_.Stop();
  if (batched_models_ != nullptr) batched_models_->Stop();
}

}  // namespace tflite_serving
