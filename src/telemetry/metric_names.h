// Every metric that the server exports: name, kind, help text, labels and buckets. metrics.h has the values and the page.
//
// Two families of names. The original's (":tensorflow:…", TensorFlow Serving's util/prometheus_exporter.cc and the registrations it prints) keep
// their labels and bucket bounds, so that dashboards made for it work; they are on its page. Ours follow Prometheus' rules for names: base units, a
// unit in the name, "_total" for counters.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "telemetry/metric_family.h"

namespace tflite_serving {

namespace metrics {

inline constexpr double kTicksPerMicrosecond = 1e3;
inline constexpr double kTicksPerSecond = 1e9;

// first, first * growth, …, rounded to whole ticks.
template <size_t count>
constexpr std::array<uint64_t, count> GrowingBounds(double first, double growth) {
  std::array<uint64_t, count> bounds{};
  double bound = first;
  for (uint64_t& rounded : bounds) {
    rounded = static_cast<uint64_t>(bound + 0.5);  // NOLINT(bugprone-incorrect-roundings): std::lround is no constant, and no bound is negative
    bound *= growth;
  }
  return bounds;
}

// The original's: 10 us to 23 minutes; 100 us to 18 minutes; 1 to 8192.
inline constexpr auto kLatencyBounds = GrowingBounds<33>(10 * kTicksPerMicrosecond, 1.8);
inline constexpr auto kQueuingBounds = GrowingBounds<52>(100 * kTicksPerMicrosecond, 1.2);
inline constexpr auto kSizeBounds = GrowingBounds<14>(1, 2);
// Ours: 1 us to 10 s, three for each power of ten.
inline constexpr std::array<uint64_t, 22> kStageBounds = {1'000,         2'500,         5'000,         10'000,        25'000,      50'000,
                                                          100'000,       250'000,       500'000,       1'000'000,     2'500'000,   5'000'000,
                                                          10'000'000,    25'000'000,    50'000'000,    100'000'000,   250'000'000, 500'000'000,
                                                          1'000'000'000, 2'500'000'000, 5'000'000'000, 10'000'000'000};

// clang-format off

// Requests.
inline constexpr MetricFamily kRequests{"tflite_serving_requests_total", MetricType::kCounter,
    "Requests to the API that were answered; those for models that are not configured under an empty name.", {"model", "protocol", "method", "code"}};
inline constexpr MetricFamily kRequestSeconds{"tflite_serving_request_duration_seconds", MetricType::kHistogram,
    "Time from a request's arrival to its answer, for requests that succeeded.", {"model", "protocol", "method"}, kLatencyBounds, kTicksPerSecond};
inline constexpr MetricFamily kStageSeconds{"tflite_serving_request_stage_duration_seconds", MetricType::kHistogram,
    "Where that time went: queue (waiting for a thread, a batch or an interpreter), decode, run, encode.", {"model", "signature", "stage"},
    kStageBounds, kTicksPerSecond};
inline constexpr MetricFamily kInFlight{"tflite_serving_requests_in_flight", MetricType::kGauge,
    "Requests for inference that have arrived and are not answered yet.", {"protocol"}};
inline constexpr MetricFamily kRejected{"tflite_serving_requests_rejected_total", MetricType::kCounter,
    "Requests that were refused for want of capacity, of a key or of permission, by reason.", {"reason"}};
inline constexpr MetricFamily kConnections{"tflite_serving_connections_open", MetricType::kGauge, "Open client connections.", {"protocol"}};
inline constexpr MetricFamily kConnectionsRefused{"tflite_serving_connections_refused_total", MetricType::kCounter,
    "Connections of clients whose address had as many as --max_connections_per_address allows.", {"protocol"}};
inline constexpr MetricFamily kInFlightBytes{"tflite_serving_in_flight_bytes", MetricType::kGauge,
    "Memory of large requests and replies, which --max_in_flight_mb limits."};
inline constexpr MetricFamily kTransportRefusals{"tflite_serving_transport_refusals_total", MetricType::kCounter,
    "Requests that were refused before they reached the API: too large, too slow, malformed, past their deadline; by HTTP's or gRPC's code.",
    {"protocol", "code"}};
inline constexpr MetricFamily kTlsFailures{"tflite_serving_tls_failures_total", MetricType::kCounter,
    "Connections that ended in their TLS handshake, and TLS clients of a plain port, by reason.", {"protocol", "reason"}};
inline constexpr MetricFamily kTlsExpiry{"tflite_serving_tls_certificate_expiry_timestamp_seconds", MetricType::kGauge,
    "When the server's certificate expires, in seconds since the epoch.", {"protocol"}};

// Threads and queues.
inline constexpr MetricFamily kPoolSaturation{"tflite_serving_pool_saturation_ratio", MetricType::kGauge,
    "Share of its time that a pool of threads was busy lately, 0 to 1; of the pool cpu, the share of the usable processors that this process took.", {"pool"}};
inline constexpr MetricFamily kPoolThreads{"tflite_serving_pool_threads", MetricType::kGauge, "Threads of a pool.", {"pool"}};
inline constexpr MetricFamily kQueueDepth{"tflite_serving_queue_depth", MetricType::kGauge, "Tasks that wait for a thread of the pool.", {"pool"}};
inline constexpr MetricFamily kQueueAge{"tflite_serving_queue_age_seconds", MetricType::kGauge, "How long the oldest of them has waited.", {"pool"}};
inline constexpr MetricFamily kThreadCpu{"tflite_serving_thread_cpu_seconds_total", MetricType::kCounter,
    "Processor time of the threads that live as long as the server, by their name.", {"thread"}};

// Batches.
inline constexpr MetricFamily kBatchRows{"tflite_serving_batch_size_rows", MetricType::kHistogram, "Rows of each run of a batch.", {"model", "version"}, kSizeBounds};

// Models.
inline constexpr MetricFamily kModelState{"tflite_serving_model_version_state", MetricType::kGauge,
    "1 for the state that a version is in.", {"model", "version", "state"}};
inline constexpr MetricFamily kModelAvailable{"tflite_serving_model_available", MetricType::kGauge,
    "Whether a configured model has a version that is served.", {"model"}};
inline constexpr MetricFamily kModelProblems{"tflite_serving_model_problems", MetricType::kGauge,
    "Versions of a model that should be served and cannot be as they are on disk, and 1 for a base path that cannot be read; its status says why.", {"model"}};
inline constexpr MetricFamily kModelHealthy{"tflite_serving_model_version_healthy", MetricType::kGauge,
    "0 for a version with something wrong although it is served, such as a worker process that cannot be started; its status says what.", {"model", "version"}};
inline constexpr MetricFamily kModelMemory{"tflite_serving_model_memory_bytes", MetricType::kGauge,
    "Memory that a version takes now, about: file, packed weights, interpreters or worker processes.", {"model", "version"}};
inline constexpr MetricFamily kInterpreters{"tflite_serving_model_interpreters", MetricType::kGauge, "Interpreters of a version.", {"model", "version"}};
inline constexpr MetricFamily kWorkerProcesses{"tflite_serving_custom_workers", MetricType::kGauge,
    "Worker processes of a custom servable that are ready.", {"model", "version"}};
inline constexpr MetricFamily kWorkerRestarts{"tflite_serving_custom_worker_restarts_total", MetricType::kCounter,
    "Worker processes of a custom servable that ended and were started again.", {"model", "version"}};
inline constexpr MetricFamily kCustomQueueDepth{"tflite_serving_custom_queue_depth", MetricType::kGauge,
    "Requests that wait for a worker process.", {"model", "version"}};
inline constexpr MetricFamily kCustomRejected{"tflite_serving_custom_requests_rejected_total", MetricType::kCounter,
    "Requests that were refused because too many waited for a worker process.", {"model", "version"}};
inline constexpr MetricFamily kModelLoads{"tflite_serving_model_loads_total", MetricType::kCounter,
    "Attempts to load a version, by how they ended.", {"model", "code"}};
inline constexpr MetricFamily kModelLoadSeconds{"tflite_serving_model_load_seconds_total", MetricType::kCounter,
    "Time of the loads that succeeded, their trials and warm-up included.", {"model"}};

// Models from object storage.
inline constexpr MetricFamily kStorageLooks{"tflite_serving_storage_looks_total", MetricType::kCounter,
    "Looks at base paths in object storage.", {"result"}};
inline constexpr MetricFamily kStorageFetches{"tflite_serving_storage_fetches_total", MetricType::kCounter,
    "Versions that were brought from object storage, or found in the cache.", {"result"}};
inline constexpr MetricFamily kStorageFetchedBytes{"tflite_serving_storage_fetched_bytes_total", MetricType::kCounter,
    "Bytes that came from object storage."};
inline constexpr MetricFamily kStorageCacheBytes{"tflite_serving_storage_cache_bytes", MetricType::kGauge, "What lies in --model_cache_dir."};

// The memory budget.
inline constexpr MetricFamily kBudgetBytes{"tflite_serving_model_memory_budget_bytes", MetricType::kGauge, "What --model_memory_budget_mb allows."};
inline constexpr MetricFamily kBudgetUsed{"tflite_serving_model_memory_budget_used_bytes", MetricType::kGauge,
    "Memory of models that count towards the budget and are loaded."};
inline constexpr MetricFamily kBudgetLoaded{"tflite_serving_model_memory_budget_loaded_versions", MetricType::kGauge, "Versions of these that are in memory."};
inline constexpr MetricFamily kBudgetUnloaded{"tflite_serving_model_memory_budget_unloaded_versions", MetricType::kGauge,
    "Versions that were unloaded to make room; a request loads them again."};
inline constexpr MetricFamily kBudgetEvictions{"tflite_serving_model_memory_budget_evictions_total", MetricType::kCounter, "Times that a version was unloaded to make room."};
inline constexpr MetricFamily kBudgetReloads{"tflite_serving_model_memory_budget_reloads_total", MetricType::kCounter,
    "Times that a version was loaded again because a request wanted it, by how that ended.", {"code"}};
inline constexpr MetricFamily kBudgetWaiting{"tflite_serving_model_memory_budget_waiting_requests", MetricType::kGauge, "Requests that wait for their model to be loaded again."};

// What is told of requests elsewhere.
inline constexpr MetricFamily kTraceSpans{"tflite_serving_trace_spans_total", MetricType::kCounter,
    "Spans of traced requests: exported to the collector, dropped for want of room, or failed, which the collector did not take.", {"outcome"}};
inline constexpr MetricFamily kAccessLogDropped{"tflite_serving_access_log_dropped_lines_total", MetricType::kCounter,
    "Lines of the access log that could not be written, or not as fast as they came.", {}};
inline constexpr MetricFamily kLoggedRequests{"tflite_serving_logged_requests_total", MetricType::kCounter,
    "Requests that were chosen to be logged (logging_config): written, dropped for want of room, or failed, which the disk did not take.", {"outcome"}};

// The process, by the names that Prometheus' client libraries use.
inline constexpr MetricFamily kBuildInfo{"tflite_serving_build_info", MetricType::kGauge, "1; its labels say what runs.", {"version"}};
inline constexpr MetricFamily kProcessCpu{"process_cpu_seconds_total", MetricType::kCounter, "Total user and system CPU time spent in seconds."};
inline constexpr MetricFamily kProcessResident{"process_resident_memory_bytes", MetricType::kGauge, "Resident memory size in bytes."};
inline constexpr MetricFamily kProcessVirtual{"process_virtual_memory_bytes", MetricType::kGauge, "Virtual memory size in bytes."};
inline constexpr MetricFamily kProcessOpenFds{"process_open_fds", MetricType::kGauge, "Number of open file descriptors."};
inline constexpr MetricFamily kProcessMaxFds{"process_max_fds", MetricType::kGauge, "Maximum number of open file descriptors."};
inline constexpr MetricFamily kProcessStart{"process_start_time_seconds", MetricType::kGauge, "Start time of the process since unix epoch in seconds."};
inline constexpr MetricFamily kProcessThreads{"process_threads", MetricType::kGauge, "Number of threads."};

// The original's.
inline constexpr MetricFamily kTfRequestCount{":tensorflow:serving:request_count", MetricType::kCounter,
    "The total number of requests, by model and status.", {"model_name", "status"}};
inline constexpr MetricFamily kTfRequestLatency{":tensorflow:serving:request_latency", MetricType::kHistogram,
    "Microseconds from a request's arrival to its answer, for requests that succeeded.", {"model_name", "API", "entrypoint"}, kLatencyBounds, kTicksPerMicrosecond};
inline constexpr MetricFamily kTfRuntimeLatency{":tensorflow:serving:runtime_latency", MetricType::kHistogram,
    "Microseconds of a request's run.", {"model_name", "API", "runtime"}, kLatencyBounds, kTicksPerMicrosecond};
inline constexpr MetricFamily kTfExampleCounts{":tensorflow:serving:request_example_counts", MetricType::kHistogram,
    "Examples of a request.", {"model"}, kSizeBounds};
inline constexpr MetricFamily kTfExampleTotal{":tensorflow:serving:request_example_count_total", MetricType::kCounter,
    "Examples of all requests.", {"model"}};
inline constexpr MetricFamily kTfQueuingLatency{":tensorflow:serving:batching_session:queuing_latency", MetricType::kHistogram,
    "Microseconds that requests waited for their batch.", {"thread_pool_name"}, kQueuingBounds, kTicksPerMicrosecond};
inline constexpr MetricFamily kTfWrappedRuns{":tensorflow:serving:batching_session:wrapped_run_count", MetricType::kCounter, "Runs of batches."};
inline constexpr MetricFamily kTfPaddingSize{":tensorflow:serving:batching_session:padding_size", MetricType::kHistogram,
    "Rows that were added to a batch to reach an allowed size.", {"execution_batch_size"}, kSizeBounds};
inline constexpr MetricFamily kTfInputBatchSize{":tensorflow:serving:batching_session:input_batch_size", MetricType::kHistogram, "Rows of each request that was batched.", {}, kSizeBounds};
inline constexpr MetricFamily kTfProcessedBatchSize{":tensorflow:serving:batching_session:processed_batch_size", MetricType::kHistogram, "Rows of each run of a batch.", {}, kSizeBounds};
inline constexpr MetricFamily kTfLoadAttempts{":tensorflow:cc:saved_model:load_attempt_count", MetricType::kCounter,
    "Attempts to load a version of the model at this base path.", {"model_path", "status"}};
inline constexpr MetricFamily kTfLoadLatency{":tensorflow:cc:saved_model:load_latency", MetricType::kCounter, "Microseconds of successful loads.", {"model_path"}};
inline constexpr MetricFamily kTfGraphRuns{":tensorflow:core:graph_runs", MetricType::kCounter, "Runs of interpreters."};
inline constexpr MetricFamily kTfGraphRunTime{":tensorflow:core:graph_run_time_usecs", MetricType::kCounter, "Microseconds of these runs."};
inline constexpr MetricFamily kTfGraphBuilds{":tensorflow:core:graph_build_calls", MetricType::kCounter, "Loads of models."};
inline constexpr MetricFamily kTfGraphBuildTime{":tensorflow:core:graph_build_time_usecs", MetricType::kCounter, "Microseconds of these loads."};

// clang-format on

// What stands on a page, in this order: ours alone, and all.
inline constexpr std::array kOurs = {
    &kRequests,           &kRequestSeconds,      &kStageSeconds,      &kInFlight,        &kRejected,         &kConnections,
    &kConnectionsRefused, &kInFlightBytes,       &kTransportRefusals, &kTlsFailures,     &kTlsExpiry,        &kPoolSaturation,
    &kPoolThreads,        &kQueueDepth,          &kQueueAge,          &kThreadCpu,       &kBatchRows,        &kModelAvailable,
    &kModelProblems,      &kModelState,          &kModelHealthy,      &kModelMemory,     &kInterpreters,     &kWorkerProcesses,
    &kWorkerRestarts,     &kCustomQueueDepth,    &kCustomRejected,    &kModelLoads,      &kModelLoadSeconds, &kStorageLooks,
    &kStorageFetches,     &kStorageFetchedBytes, &kStorageCacheBytes, &kBudgetBytes,     &kBudgetUsed,       &kBudgetLoaded,
    &kBudgetUnloaded,     &kBudgetEvictions,     &kBudgetReloads,     &kBudgetWaiting,   &kTraceSpans,       &kLoggedRequests,
    &kAccessLogDropped,   &kBuildInfo,           &kProcessCpu,        &kProcessResident, &kProcessVirtual,   &kProcessOpenFds,
    &kProcessMaxFds,      &kProcessStart,        &kProcessThreads};
inline constexpr std::array kOriginals = {&kTfRequestCount,   &kTfRequestLatency,     &kTfRuntimeLatency, &kTfExampleCounts,
                                          &kTfExampleTotal,   &kTfQueuingLatency,     &kTfWrappedRuns,    &kTfPaddingSize,
                                          &kTfInputBatchSize, &kTfProcessedBatchSize, &kTfLoadAttempts,   &kTfLoadLatency,
                                          &kTfGraphRuns,      &kTfGraphRunTime,       &kTfGraphBuilds,    &kTfGraphBuildTime};
inline constexpr auto kAll = [] {
  std::array<const MetricFamily*, kOriginals.size() + kOurs.size()> all{};
  std::ranges::copy(kOurs, std::ranges::copy(kOriginals, all.begin()).out);
  return all;
}();

}  // namespace metrics
}  // namespace tflite_serving
