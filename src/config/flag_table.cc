#include "config/flag_table.h"

#include "servable/model_config.h"

namespace tflite_serving {
namespace {

constexpr int64_t kInt32Max = std::numeric_limits<int32_t>::max();
constexpr FlagRange kPortRange = {0, 65535};
constexpr FlagRange kThreadsRange = {0, 4096};
constexpr FlagRange kInterpretersRange = {0, kMaxInterpreters};
constexpr FlagRange kInterpreterThreadsRange = {0, kMaxThreadsPerInterpreter};
constexpr FlagRange kInt32Range = {std::numeric_limits<int32_t>::min(), kInt32Max};
constexpr FlagRange kMessageBytesRange = {1, kInt32Max};
constexpr FlagRange kGzipRange = {0, kInt32Max};
constexpr FlagRange kBodyBytesRange = {1, std::numeric_limits<int64_t>::max()};
constexpr FlagRange kCountRange = {0, kInt32Max};
constexpr FlagRange kSecondsRange = {1, 86400};
constexpr FlagRange kDrainRange = {0, 86400};
constexpr FlagRange kModelCacheRange = {1, kInt32Max};

using Options = ServerOptions;
using Action = ParsedFlags::Action;
constexpr auto kGrpc = FlagGroup::kGrpc;
constexpr auto kRest = FlagGroup::kRest;
constexpr auto kNetwork = FlagGroup::kNetwork;
constexpr auto kModel = FlagGroup::kModel;
constexpr auto kLoading = FlagGroup::kLoading;
constexpr auto kRunning = FlagGroup::kRunning;
constexpr auto kBatching = FlagGroup::kBatching;
constexpr auto kCustom = FlagGroup::kCustom;
constexpr auto kMetrics = FlagGroup::kMetrics;
constexpr auto kAccess = FlagGroup::kAccess;
constexpr auto kProcess = FlagGroup::kProcess;

constexpr Flag Ignored(std::string_view name, PlainFlagValue original_default, std::string_view why) {
  return {name, FlagGroup::kIgnored, IgnoredFlag{original_default}, why};
}
constexpr Flag NotSupported(std::string_view name, NotSupportedFlag target, std::string_view help) {
  return {name, FlagGroup::kNotSupported, target, help};
}

constexpr std::string_view kNoSessions = "models run on LiteRT, without TensorFlow sessions";
constexpr std::string_view kNoXla = "models run on LiteRT, without XLA";

constexpr Flag kFlags[] = {
    {"port", kGrpc, &Options::port, "TCP port for gRPC; 0: none", kPortRange},
    {"grpc_socket_path", kGrpc, &Options::grpc_socket_path, "path of a Unix socket for gRPC; empty: none"},
    {"grpc_max_message_bytes", kGrpc, &Options::grpc_max_message_bytes, "largest gRPC request message", kMessageBytesRange},
    {"grpc_channel_arguments", kGrpc, &Options::grpc_channel_arguments, "gRPC channel arguments: key=value,key=value"},
    {"enable_serialization_as_tensor_content", kGrpc, &Options::enable_serialization_as_tensor_content, "gRPC replies carry tensor_content"},

    {"rest_api_port", kRest, &Options::rest_api_port, "TCP port for REST; 0: none", kPortRange},
    {"rest_api_socket_path", kRest, &Options::rest_api_socket_path, "path of a Unix socket for REST; empty: none"},
    {"rest_api_num_threads", kRest, &Options::rest_api_num_threads, "threads for REST; 0: by the number of CPUs", kThreadsRange},
    {"rest_api_timeout_in_ms", kRest, &Options::rest_api_timeout_in_ms, "time limit of a REST request; 0 or less: none", kInt32Range},
    {"rest_api_enable_cors_support", kRest, &Options::rest_api_enable_cors_support, "CORS headers: pages of any origin may use the REST API"},
    {"rest_api_min_gzip_bytes", kRest, &Options::rest_api_min_gzip_bytes, "smallest REST response that is gzipped for who accepts it; 0: none is",
     kGzipRange},
    {"max_body_bytes", kRest, &Options::max_body_bytes, "largest REST request body, as sent and inflated", kBodyBytesRange},

    {"max_connections", kNetwork, &Options::max_connections,
     "connections that each of the two may have open; idle ones are closed for new ones, which otherwise wait; 0: half of what ulimit -n allows",
     kCountRange},
    {"max_connections_per_address", kNetwork, &Options::max_connections_per_address,
     "connections that a client's IPv4 address, or IPv6 network of 64 bits, may have open to each of the two; more are closed at once; 0: no limit",
     kCountRange},
    {"max_in_flight_mb", kNetwork, &Options::max_in_flight_mb,
     "MiB that requests and replies of more than 64 KiB may take together while they arrive, wait and are sent; a request for which there is no room "
     "is refused with 503; 0: half of this machine's or container's memory",
     kCountRange},
    {"bind_address", kNetwork, &Options::bind_address, "IPv4 or IPv6 address to listen on; empty: all"},
    {"tls_certificate_file", kNetwork, &Options::tls_certificate_file,
     "PEM file of the server's certificate, for TLS on both ports; read again when it changes; empty: no TLS"},
    {"tls_key_file", kNetwork, &Options::tls_key_file, "PEM file of the certificate's key, not encrypted"},
    {"tls_client_ca_file", kNetwork, &Options::tls_client_ca_file,
     "PEM file of certificates, one of which has to have signed a client's; empty: clients are not asked for one"},
    {"tls_require_client_certificate", kNetwork, &Options::tls_require_client_certificate,
     "refuse clients without a certificate, if there is a tls_client_ca_file; false: look at those that are shown"},
    {"ssl_config_file", kNetwork, &Options::ssl_config_file, "text SSLConfig with PEM in it, for TLS on the gRPC port alone; empty: none"},

    {"model_name", kModel, &Options::model_name, "name of the model in requests"},
    {"model_base_path", kModel, &Options::model_base_path,
     "directory of numbered versions, directory with a .tflite file, or a .tflite file; also as a URL of s3://, gs:// or https://"},
    {"model_config_file", kModel, &Options::model_config_file, "text ModelServerConfig with the models, in place of the two above; empty: none"},
    {"model_config_file_poll_wait_seconds", kModel, &Options::model_config_file_poll_wait_seconds,
     "seconds between two readings of that file; 0 or less: it is read once", kInt32Range},
    {"allow_version_labels_for_unavailable_models", kModel, &Options::allow_version_labels_for_unavailable_models,
     "a new label may name a version that is not loaded"},

    {"file_system_poll_wait_seconds", kLoading, &Options::file_system_poll_wait_seconds,
     "seconds between two looks at the base paths; 0 or less: one look only", kInt32Range},
    {"object_storage_poll_wait_seconds", kLoading, &Options::object_storage_poll_wait_seconds,
     "the same for base paths of s3://, gs://, http:// and https://", kInt32Range},
    {"model_cache_dir", kLoading, &Options::model_cache_dir,
     "directory for the files of such base paths; empty: /var/cache/tflite-serving, or if that is not to be written to, one in $TMPDIR"},
    {"model_cache_max_mb", kLoading, &Options::model_cache_max_mb,
     "MiB that it may take; files that no loaded version needs are removed, those first that were not used for the longest time", kModelCacheRange},
    {"max_num_load_retries", kLoading, &Options::max_num_load_retries, "times that a load that failed is tried again", kCountRange},
    {"load_retry_interval_micros", kLoading, &Options::load_retry_interval_micros, "microseconds between two attempts; 0 or less: none"},
    {"num_load_threads", kLoading, &Options::num_load_threads, "threads that load models; 0: the server decides", kThreadsRange},
    {"enable_model_warmup", kLoading, &Options::enable_model_warmup, "replay a version's warm-up requests before it serves"},
    {"num_request_iterations_for_warmup", kLoading, &Options::num_request_iterations_for_warmup,
     "times that each warm-up request is replayed; 0: once", kCountRange},
    {"strict_start", kLoading, &Options::strict_start, "exit if a model of the first configuration cannot be loaded"},
    {"unload_before_load", kLoading, &Options::unload_before_load,
     "unload a model's old version before the new one is loaded: less memory, but a gap"},
    {"model_memory_budget_mb", kLoading, &Options::model_memory_budget_mb,
     "MiB that loaded models may take together, beside those being loaded for the first time; those used least recently are unloaded until a "
     "request wants them; 0: no limit",
     kCountRange},
    {"trial_cpu_seconds", kLoading, &Options::trial_cpu_seconds, "seconds of processor time that a model may take to load and run for the first time",
     kSecondsRange},
    {"reload_timeout_seconds", kLoading, &Options::reload_timeout_seconds, "longest wait of a configuration's reload for its models", kSecondsRange},

    {"num_tflite_pools", kRunning, &Options::num_tflite_pools, "interpreters for each loaded model; 0: chosen at load by measuring",
     kInterpretersRange},
    {"max_queue_wait_ms", kRunning, &Options::max_queue_wait_ms,
     "a request with many of its model before it that is expected to wait longer is refused with 503 at once, and in overload one that would wait "
     "longer than a quarter of it; 0: never",
     kCountRange},
    {"tensorflow_intra_op_parallelism", kRunning, &Options::tensorflow_intra_op_parallelism,
     "threads of each interpreter; 0: chosen at load by measuring", kInterpreterThreadsRange},
    {"enable_signature_method_name_check", kRunning, &Options::enable_signature_method_name_check, "refuse signatures of another method"},
    {"keep_state", kRunning, &Options::keep_state, "variables of a stateful model live on from request to request"},
    {"custom_op_library", kRunning, &Options::custom_op_library,
     "shared libraries (.so,.so) with operators of models' own, as include/tflite_serving_plugin.h describes them"},

    {"python", kCustom, &Options::python, "Python that runs custom servables, with NumPy: a path, or a name to look for on PATH"},
    {"python_worker_path", kCustom, &Options::python_worker_path,
     "the program that it runs, tflite_serving_worker.py; empty: in ../lib/tflite_serving beside this program's directory"},
    {"custom_load_timeout_seconds", kCustom, &Options::custom_load_timeout_seconds, "time limit for a custom servable to load", kSecondsRange},
    {"custom_request_timeout_seconds", kCustom, &Options::custom_request_timeout_seconds,
     "time after which a worker of a custom servable that has not answered is ended, and started again", kSecondsRange},
    {"custom_max_memory_mb", kCustom, &Options::custom_max_memory_mb,
     "MiB of memory that a worker of a custom servable may take; 0: three quarters of this machine's or container's", kCountRange},
    {"allow_code_in_reload_requests", kCustom, &Options::allow_code_in_reload_requests,
     "HandleReloadConfigRequest may bring models whose configuration names code, beside those of --model_config_file"},
    {"reload_custom_on_change", kCustom, &Options::reload_custom_on_change, "a custom servable is loaded anew when its module's file changes"},

    {"enable_batching", kBatching, &Options::enable_batching, "run requests to one signature together"},
    {"batching_parameters_file", kBatching, &Options::batching_parameters_file, "text BatchingParameters; empty: the defaults"},
    {"enable_per_model_batching_parameters", kBatching, &Options::enable_per_model_batching_parameters,
     "batch as batching_params.pbtxt beside a version's model says, and not without one; the file above says the threads alone"},

    {"monitoring_config_file", kMetrics, &Options::monitoring_config_file,
     "text MonitoringConfig: where the REST port has metrics under the original's names; empty: nowhere"},
    {"readiness", kMetrics, &Options::readiness,
     "when /readyz and grpc.health.v1 call the server ready: all_models (all have a version to serve), any_model, or started (no model of the first "
     "configuration is loading any more)"},
    {"metrics_path", kMetrics, &Options::metrics_path, "where the REST port has metrics for Prometheus; empty: nowhere"},

    {"otlp_traces_endpoint", kMetrics, &Options::otlp_traces_endpoint,
     "URL of an OpenTelemetry collector that takes traces over HTTP; empty: as OpenTelemetry's environment variables say, which also say how much is "
     "sampled"},

    {"api_keys_file", kAccess, &Options::api_keys_file,
     "clients with the hashes of their API keys, which all but health checks then need; empty: no keys"},
    {"admin_api", kAccess, &Options::admin_api,
     "whether the REST port has /admin/ and models' profiles: on, off, or auto (where keys are asked for, or --bind_address is a loopback address)"},

    {"dry_run", kProcess, &Options::dry_run, "load what is configured, as a start would, print what it is, and exit; opens no port"},
    {"log_level", kProcess, &Options::log_level, "least level that is logged"},
    {"log_format", kProcess, &Options::log_format, "of the log's lines: text or json"},
    {"access_log", kProcess, &Options::access_log,
     "where each request has a line: stderr, stdout, or a file, opened again at SIGHUP; empty: nowhere"},
    {"drain_timeout_seconds", kProcess, &Options::drain_timeout_seconds, "time for requests in flight when the server is told to stop", kDrainRange},
    {"shutdown_grace_seconds", kProcess, &Options::shutdown_grace_seconds,
     "time that it goes on serving before that, while it says that it is not ready", kDrainRange},
    {"help", kProcess, ActionFlag{Action::kShowHelp}, "print this text and exit"},
    {"version", kProcess, ActionFlag{Action::kShowVersion}, "print the version and exit"},

    Ignored("enable_grpc_healthcheck_service", false, "the gRPC health service is always on"),
    Ignored("enable_profiler", true, "there is no TensorFlow profiler here"),
    Ignored("flush_filesystem_caches", true, "the page cache is left to the kernel"),
    Ignored("grpc_max_threads", 0, "gRPC has one thread for each usable core"),
    Ignored("mixed_precision", "", "a .tflite file says itself in which types it computes"),
    Ignored("num_tflite_interpreters_per_pool", 1, "--num_tflite_pools alone sets the number of interpreters"),
    Ignored("num_unload_threads", 0, "unloading waits for requests in flight alone, and needs no threads of its own"),
    Ignored("per_process_gpu_memory_fraction", 0.0, "models run on the CPU"),
    Ignored("platform_config_file", "", "LiteRT is the only platform"),
    Ignored("prefer_tflite_model", false, ".tflite files are the only models here"),
    Ignored("remove_unused_fields_from_bundle_metagraph", true, "a .tflite file has no metagraph"),
    Ignored("saved_model_tags", "serve", "a .tflite file has no tags"),
    Ignored("skip_initialize_tpu", false, "models run on the CPU"),
    Ignored("tensorflow_inter_op_parallelism", 0, "an interpreter runs one operation at a time; see --num_tflite_pools"),
    Ignored("tensorflow_session_config_file", "", kNoSessions),
    Ignored("tensorflow_session_parallelism", 0, "see --num_tflite_pools and --tensorflow_intra_op_parallelism"),
    Ignored("thread_pool_factory_config_file", "", kNoSessions),
    Ignored("xla_cpu_compilation_enabled", false, kNoXla),
    Ignored("xla_gpu_compilation_enabled", false, kNoXla),

    NotSupported("use_alts_credentials", {.original_default = false, .why = "not supported: ALTS works only inside Google's cloud"}, "ALTS for gRPC"),
};

}  // namespace

std::span<const Flag> FlagTable() { return kFlags; }

}  // namespace tflite_serving
