// Everything a person can choose on the command line. Each field is named after its flag, so `--rest_api_port=8501` sets `rest_api_port`.
//
// The names and defaults are TensorFlow Serving's (model_servers/main.cc) where the flag is its own; those that are ours are marked [ours].
// A default that depends on the machine is 0 here and is worked out by the server. To add a flag, add its field here and its row in flag_table.cc.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/status.h"
#include "telemetry/log.h"

namespace tflite_serving {

// One `key=value` of --grpc_channel_arguments. gRPC has integer and text arguments: a value that reads as an int32 is one.
struct GrpcChannelArgument {
  std::string key;  // "grpc.max_connection_age_ms"
  std::variant<int32_t, std::string> value;

  friend bool operator==(const GrpcChannelArgument&, const GrpcChannelArgument&) = default;
};
using GrpcChannelArguments = std::vector<GrpcChannelArgument>;

// What --readiness may say: that all configured models have a version to serve, or one of them has, or that no model of the first configuration is
// loading any more.
inline constexpr std::string_view kReadinessPolicies[] = {"all_models", "any_model", "started"};

// auto: where only this machine reaches it (--bind_address is a loopback address), or keys are asked for.
inline constexpr std::string_view kAdminApis[] = {"auto", "on", "off"};
inline constexpr std::string_view kLogFormats[] = {"text", "json"};

// A value: thread-compatible. What ParseFlags returns has passed CheckServerOptions.
struct ServerOptions {
  // --- gRPC ---
  int32_t port = 8500;                          // TCP; 0: none
  std::string grpc_socket_path;                 // of a Unix socket to listen on too, absolute or relative to the working directory; empty: none
  int32_t grpc_max_message_bytes = 2147483647;  // [ours] the largest request message; gRPC's own limit is 2^31-1
  GrpcChannelArguments grpc_channel_arguments;
  bool enable_serialization_as_tensor_content = false;  // replies carry tensor_content instead of float_val and so on

  // --- REST ---
  int32_t rest_api_port = 0;                    // TCP; 0: none
  std::string rest_api_socket_path;             // [ours] of a Unix socket to listen on too, as grpc_socket_path; empty: none
  int32_t rest_api_num_threads = 0;             // 0: as many as the server thinks fit
  int32_t rest_api_timeout_in_ms = 30000;       // for one request; 0 or less: none
  bool rest_api_enable_cors_support = false;    // answers let pages of any origin read them
  int32_t rest_api_min_gzip_bytes = 14 << 10;   // [ours] smaller responses are never compressed (HttpLimits); 0: none is
  int64_t max_body_bytes = int64_t{256} << 20;  // [ours] the largest HTTP request body, as it is sent and again once it is inflated

  // --- both ---
  int32_t max_connections = 0;              // [ours] of each port; 0: half of what the limit of descriptors leaves
  int32_t max_connections_per_address = 0;  // [ours] of each port; 0: no limit
  int32_t max_in_flight_mb = 0;             // [ours] of requests and replies, of both ports; 0: half of the usable memory
  std::string bind_address;                 // [ours] an IPv4 or IPv6 address to listen on; empty: all
  // TLS: PEM files of [ours] for both ports, or the original's file for gRPC alone.
  std::string tls_certificate_file;            // [ours] the server's certificate and those that lead to its root; empty: no TLS
  std::string tls_key_file;                    // [ours]
  std::string tls_client_ca_file;              // [ours] who signs clients' certificates; empty: clients are not asked for one
  bool tls_require_client_certificate = true;  // [ours] with a client CA; false: clients may show none
  std::string ssl_config_file;                 // as config/ssl_config.h reads it; empty: none

  // --- model ---
  std::string model_name = "default";
  std::string model_base_path;                               // as lifecycle/storage_path.h reads it
  std::string model_config_file;                             // as config/model_server_config.h reads it; wins over the two above; empty: none
  int32_t model_config_file_poll_wait_seconds = 0;           // between two readings of that file; 0 or less: it is read once
  bool allow_version_labels_for_unavailable_models = false;  // a new label may name a version that is not loaded

  // --- loading ---
  int32_t file_system_poll_wait_seconds = 1;        // between two looks at the base paths; 0 or less: one look only
  int32_t object_storage_poll_wait_seconds = 60;    // [ours] likewise, at those in object storage and on web servers
  std::string model_cache_dir;                      // [ours] for their files; empty: a place is found (server/model_loading.h)
  int32_t model_cache_max_mb = 10 << 10;            // [ours] of that directory
  int32_t max_num_load_retries = 5;                 // after the first attempt
  int64_t load_retry_interval_micros = 60'000'000;  // between two attempts; 0 or less: none
  int32_t num_load_threads = 0;                     // 0: as many as the server thinks fit
  bool enable_model_warmup = true;                  // the version's warm-up requests are replayed before it serves
  int32_t num_request_iterations_for_warmup = 0;    // how often each; 0: once
  bool strict_start = false;                        // [ours] the process ends if a model of the first configuration cannot be loaded
  bool unload_before_load = false;  // [ours] the resource-preserving way: the old version goes first, so two never need memory at once
  int32_t model_memory_budget_mb =
      0;                           // [ours] MiB of loaded models together; those used least recently are unloaded until they are asked for. 0: none
  int32_t trial_cpu_seconds = 20;  // [ours] processor time that the trial of a model may take
  int32_t reload_timeout_seconds = 20;  // [ours] how long a reload of the configuration may wait for its models

  // --- running ---
  // Interpreters for each loaded model (the original's misleading name), and threads of each; a model's own tflite_options win. 0: see
  // RuntimeOptions.
  int32_t num_tflite_pools = 0;
  int32_t tensorflow_intra_op_parallelism = 0;
  int32_t max_queue_wait_ms = 1000;                 // [ours] a request is refused at once that would wait longer for a worker (QueueLimit); 0: none
  bool enable_signature_method_name_check = false;  // Classify and Regress want signatures made for them, Predict one of a known method
  bool keep_state = false;                          // [ours] variables of a stateful model live on from request to request
  std::string custom_op_library;                    // [ours] shared libraries with operators that models use, separated by commas

  // --- custom servables: [ours] all of them; a model's own custom_model_config wins ---
  std::string python = "python3";             // that runs them: a path, or a name to look for on PATH
  std::string python_worker_path;             // tflite_serving_worker.py; empty: ../lib/tflite_serving/ beside the program's own directory
  int32_t custom_load_timeout_seconds = 120;  // for a worker to be ready
  int32_t custom_request_timeout_seconds = 60;
  int32_t custom_max_memory_mb = 0;  // MiB resident that a worker may take; 0: three quarters of the memory that this process may use
  bool reload_custom_on_change = false;
  bool allow_code_in_reload_requests = false;  // HandleReloadConfigRequest may bring custom servables, plug-ins and operators

  // --- batching ---
  bool enable_batching = false;          // requests to one signature are run together; with the parameters of the file, or their defaults
  std::string batching_parameters_file;  // as config/batching_parameters_file.h reads it; empty: none
  bool enable_per_model_batching_parameters = false;  // a version has its own such file, or is not batched; the one above says the threads alone

  // --- metrics and health ---
  std::string readiness = "all_models";   // [ours] when it is ready: kReadinessPolicies
  std::string monitoring_config_file;     // as config/monitoring_config.h reads it; empty: none
  std::string metrics_path = "/metrics";  // [ours] of the page on the REST port; empty: none

  // --- tracing ---
  std::string otlp_traces_endpoint;  // [ours] a collector's URL, "http://collector:4318/v1/traces"; empty: OTEL_EXPORTER_OTLP_…'s, or no tracing

  // --- access ---
  std::string api_keys_file;       // [ours] as api/api_keys_file.h reads it; empty: whoever reaches the ports may ask for anything
  std::string admin_api = "auto";  // [ours] whether the REST port has /admin/ and profiles: kAdminApis

  // --- process ---
  bool dry_run = false;                  // [ours] what is configured is tried, as server/dry_run.h says, and not served
  LogLevel log_level = LogLevel::kInfo;  // [ours] lines below are dropped
  std::string log_format = "text";       // [ours] of every line: kLogFormats
  std::string access_log;                // [ours] where each request has a line: "stderr", "stdout" or a file; empty: nowhere
  int32_t drain_timeout_seconds = 8;     // [ours] of requests in flight at the end; less than the 10 s after which `docker stop` kills
  int32_t shutdown_grace_seconds = 0;    // [ours] how long it serves on, not ready, before that
};

// Whether the options fit together; each flag's own range has been checked by then. INVALID_ARGUMENT with TensorFlow Serving's text where it has
// one.
Status CheckServerOptions(const ServerOptions& options);

}  // namespace tflite_serving
