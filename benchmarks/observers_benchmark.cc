// What it costs to tell of a request: what RequestRecord does for metrics and for traces, beside a request of which nobody is told.
#include <memory>
#include <string>
#include <utility>

#include <benchmark/benchmark.h>

#include "api/fake_calls.h"
#include "api/request_record.h"
#include "http_client/fake_http_server.h"
#include "servable/fake_servable.h"
#include "servable/fake_servable_source.h"
#include "telemetry/tracer.h"

namespace tflite_serving {
namespace {

// As a request that runs on its connection's thread is told of, whose run reads the clock for itself.
void Tell(benchmark::State& state, bool with_metrics, double sampled) {
  const Signature signature = IdentitySignature(DType::kFloat, {-1, 2});
  FakeServableSource source{{std::make_shared<FakeServable>(ServableId{"m", 3}, std::vector<Signature>{signature})}};
  RequestMetrics metrics(source);
  FakeHttpServer collector;
  std::unique_ptr<Tracer> tracer;
  if (sampled >= 0) {
    TracerOptions options;
    options.endpoint = collector.url();
    options.sample_ratio = sampled;
    StatusOr<std::unique_ptr<Tracer>> made = Tracer::Create(std::move(options));
    if (!made.ok()) return state.SkipWithError(made.status().message().c_str());
    tracer = *std::move(made);
  }
  const RequestObservers observers{.metrics = with_metrics ? &metrics : nullptr, .tracer = tracer.get()};
  FakeHttpCall call("POST", "/v1/models/m:predict", "");
  RequestRecord record;
  while (state.KeepRunning()) {
    call.response().ids.Clear();
    record.Begin(observers, call, ApiMethod::kPredict);
    record.SetModel("m");
    record.SetVersion(3);
    if (RunTimeline* const times = record.run_times())
      *times = {.given = observers.clock->Now(), .began = observers.clock->Now(), .ended = observers.clock->Now()};
    record.End(&signature, StatusCode::kOk, 100);
  }
}

void Nobody(benchmark::State& state) { Tell(state, false, -1); }
void Metrics(benchmark::State& state) { Tell(state, true, -1); }
void MetricsAndTraces(benchmark::State& state) { Tell(state, true, 0.01); }
BENCHMARK(Nobody);
BENCHMARK(Metrics);
BENCHMARK(MetricsAndTraces);

}  // namespace
}  // namespace tflite_serving

BENCHMARK_MAIN();
