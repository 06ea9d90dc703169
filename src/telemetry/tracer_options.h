// What a tracer is told: by code, or by the environment variables that OpenTelemetry has for it.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>

#include "base/status.h"
#include "telemetry/otlp_message.h"

namespace tflite_serving {

struct TracerOptions {
  std::string endpoint;  // as "http://collector:4318/v1/traces"
  std::string service_name = "tflite-serving";
  KeyValues resource;       // attributes beside service.name
  KeyValues headers;        // their values are secrets: never logged
  double sample_ratio = 1;  // of requests without a parent, 0 to 1
  size_t max_queued_spans = 2048;
  size_t batch_spans = 512;                            // sent when so many wait, or
  std::chrono::milliseconds export_interval{5'000};    // so long after the first of them
  std::chrono::milliseconds timeout{10'000};           // of one attempt
  std::chrono::milliseconds first_retry_delay{1'000};  // twice as long each time
  std::chrono::milliseconds flush_timeout{5'000};      // of all that is done at the end
};

// Fills in what OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS, both also for traces alone (…_OTLP_TRACES_…), OTEL_SERVICE_NAME,
// OTEL_RESOURCE_ATTRIBUTES and OTEL_TRACES_SAMPLER_ARG say, by OpenTelemetry's specification: "Environment Variable Specification" and "OpenTelemetry
// Protocol Exporter". `lookup` is std::getenv, or a test's. INVALID_ARGUMENT names the variables that cannot be read, without their values; these
// count as unset, and the others are filled in.
Status ReadTracerEnvironment(const std::function<const char*(const char* name)>& lookup, TracerOptions& options);

}  // namespace tflite_serving
