// For tests: a servable whose answers the test writes.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "servable/servable.h"

namespace tflite_serving {

// Answers each run by `on_run`, which several threads may call at once. By default it gives the inputs back as outputs.
class FakeServable : public Servable {
 public:
  FakeServable(ServableId id, std::vector<Signature> signatures) : id_(std::move(id)), signatures_(std::move(signatures)) {}

  const ServableId& id() const override { return id_; }
  std::span<const Signature> signatures() const override { return signatures_; }
  void Run(const RunRequest& request, RunDone done) override {
    ++runs;
    on_run(request, std::move(done));
  }
  bool RunsInline(size_t /*request_bytes*/) const override { return runs_inline; }
  size_t memory_bytes() const override { return bytes; }

  std::function<void(const RunRequest&, RunDone)> on_run = [](const RunRequest& request, const RunDone& done) { done(OkStatus(), request.inputs); };
  StatusOr<ModelProfile> Profile(const ProfileRequest& request) override { return on_profile(request); }

  std::function<StatusOr<ModelProfile>(const ProfileRequest&)> on_profile = [this](const ProfileRequest& request) -> StatusOr<ModelProfile> {
    return ModelProfile{.id = id_, .signature = std::string(request.signature_name), .runs = static_cast<int>(request.runs)};
  };
  bool runs_inline = true;
  size_t bytes = 0;
  std::atomic<int> runs = 0;

 private:
  ServableId id_;
  std::vector<Signature> signatures_;
};

// serving_default: one input x -> one output y of the same type and shape.
inline Signature IdentitySignature(DType dtype, const Shape& shape) {
  Signature signature;
  signature.key = std::string(kDefaultSignatureKey);
  signature.inputs = {{"x", "x:0", dtype, shape}};
  signature.outputs = {{"y", "y:0", dtype, shape}};
  return signature;
}

}  // namespace tflite_serving
