// A servable: one loaded version of one model, whatever runs it. The request path knows nothing more about models than this.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/cancellation.h"
#include "base/clock.h"
#include "base/status.h"
#include "servable/model_profile.h"
#include "servable/model_spec.h"
#include "servable/signature.h"
#include "tensor/tensor.h"

namespace tflite_serving {

class MetricsPage;  // telemetry/metrics.h

// When a run's stages began: what the time of a request is divided by. Whoever runs notes what he knows; the epoch of the clock: nothing was noted.
struct RunTimeline {
  TimePoint given{};  // to the servable
  TimePoint began{};  // after waiting for a batch, an interpreter or a process
  TimePoint ended{};
};

// One run. What it points to belongs to the caller, who keeps it alive until `done` has been called.
struct RunRequest {
  const Signature* signature = nullptr;        // one of the servable's own
  std::span<const TensorView> inputs;          // one for each signature input, in its order, checked by CheckInputs; aligned to kTensorAlignment
  TimePoint deadline = kNoDeadline;            // waiting and running end then with DEADLINE_EXCEEDED
  const Cancellation* cancellation = nullptr;  // once set, waiting and running end with CANCELLED; null: never
  RunTimeline* times = nullptr;                // noted before `done` is called; null: nobody asks
};

// The end of a run: its status and, if that is OK, one view for each signature output, in its order. The views point into the servable's
// memory and are valid only until the callback returns: encode the reply inside.
using RunDone = std::function<void(const Status& status, std::span<const TensorView> outputs)>;

// A request of JSON, as clients send it to REST's :predict, to a servable that takes it as it is. Belongs to the caller like RunRequest.
struct JsonRunRequest {
  std::string_view body;
  TimePoint deadline = kNoDeadline;
  const Cancellation* cancellation = nullptr;
  RunTimeline* times = nullptr;
};

// Its answer: JSON, valid until the callback returns.
struct JsonAnswer {
  std::string_view text;
  bool is_error = false;  // it says in its own words what is wrong with the request
};
using JsonRunDone = std::function<void(const Status& status, const JsonAnswer& answer)>;

// Thread-safe: any number of threads may call Run at once.
class Servable {
 public:
  virtual ~Servable() = default;

  virtual const ServableId& id() const = 0;
  virtual std::span<const Signature> signatures() const = 0;

  // Runs `request` and calls `done` exactly once: before returning, or later on another thread (a batching servable does that).
  virtual void Run(const RunRequest& request, RunDone done) = 0;

  // Whether it takes and gives JSON alone. Such a servable has no signatures, and RunJson is called in place of Run; it returns soon, and calls
  // `done` as Run does.
  virtual bool TakesJson() const { return false; }
  virtual void RunJson(const JsonRunRequest&, JsonRunDone done) {  // NOLINT(performance-unnecessary-value-param): others keep it
    done(UnimplementedError("the servable takes tensors"), {});
  }

  // What its operators take, found by running it on made-up inputs, on the calling thread: for kMaxProfileTime at most, beside the requests. It takes
  // memory of its own meanwhile. INVALID_ARGUMENT for an unknown signature or CheckProfileRuns; UNIMPLEMENTED for what has no operators.
  virtual StatusOr<ModelProfile> Profile(const ProfileRequest&) { return UnimplementedError("the servable has no operators"); }

  // What is wrong with it although it serves; OK if nothing is.
  virtual Status health() const { return OkStatus(); }

  // Whether a request of this many bytes is expected to be answered, waiting included, faster than a hop to another thread would take.
  // An estimate from measurements, for I/O threads that decide whether to run it themselves. Never true for a model with control flow.
  virtual bool RunsInline(size_t request_bytes) const = 0;

  // What it takes of the machine's memory at the moment; an estimate.
  virtual size_t memory_bytes() const = 0;

  // Those that it has of its own, of all its models.
  virtual size_t num_interpreters() const { return 0; }

  // Writes what is to be known of it beside that.
  virtual void Collect(MetricsPage& /*page*/) const {}
};

// Keeps a version loaded for as long as somebody holds it.
using ServableHandle = std::shared_ptr<Servable>;

// Where requests find servables. Thread-safe.
class ServableSource {
 public:
  virtual ~ServableSource() = default;

  // The version that `spec` means. INVALID_ARGUMENT for an unknown label, NOT_FOUND `Servable not found for request: Latest(m)`.
  virtual StatusOr<ServableHandle> GetServable(const ModelSpec& spec) const = 0;

  // Every version of `name` that was ever seen, the highest number first. Empty for an unknown model.
  virtual std::vector<VersionStatus> GetVersionStatuses(std::string_view name) const = 0;

  // Whether it is one of those.
  virtual bool HasModel(std::string_view name) const = 0;

  // All configured models, sorted by name.
  virtual std::vector<std::string> ListModels() const = 0;
};

}  // namespace tflite_serving
