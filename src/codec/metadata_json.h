// The REST answers about models, in TensorFlow Serving's text layout, which scripts search: protobuf's JSON with an indent of one space, default
// values written out, int64 as strings, and a newline at the end. Maps are sorted by key (protobuf leaves their order open).
// All functions are thread-safe.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "servable/model_spec.h"
#include "servable/signature.h"

namespace tflite_serving {

// GET /v1/models/M, a GetModelStatusResponse: the versions in the order given.
std::string ModelStatusJson(std::span<const VersionStatus> versions);

// One model in the list of all.
struct ModelStatus {
  std::string name;
  std::vector<VersionStatus> versions;
};

// GET /v1/models, which the original lacks: {"models": [{"name": "m", "versions": […]}]}, with versions as in ModelStatusJson; all in the order
// given.
std::string ModelListJson(std::span<const ModelStatus> models);

// GET /readyz, which the original lacks: {"ready": false, "draining": false, "models": {"m": "version 3 is LOADING"}}. `not_serving`: models and why
// they have nothing to serve.
std::string ReadinessJson(bool ready, bool draining, std::span<const std::pair<std::string, std::string>> not_serving);

// GET /v1/models/M/metadata, a GetModelMetadataResponse: the original glues it together from the JSON of two messages, which shows in the line
// breaks. `with_quantization` adds to each quantised tensor, behind its name, "quantization": {"scale": 0.5, "zero_point": "3"} [ours].
std::string ModelMetadataJson(const ServableId& id, std::span<const Signature> signatures, bool with_quantization = false);

}  // namespace tflite_serving
