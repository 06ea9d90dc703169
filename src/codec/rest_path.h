// The URLs of TensorFlow Serving's REST API.
//
//   POST /v1/models/M[/versions/N or /labels/L]:predict   (or :classify, :regress)
//   GET  /v1/models/M[/versions/N or /labels/L]           status
//   GET  /v1/models/M[/versions/N or /labels/L]/metadata
//   GET  /v1/models/M[/versions/N or /labels/L]/profile   what its operators take (the original lacks it, and the next)
//   GET  /v1/models                                       list of models
//
// "v1", "models", "versions", "labels", "metadata" and "profile" match in any case, the verbs as they are. Names and labels hold neither '/' nor ':'
// as sent; afterwards %XX is decoded, so that %2F stands for a slash in a name. A query string is accepted (the original answers 400); what it may
// say is for each endpoint to define, and unknown parameters are ignored. HEAD is routed as GET. OPTIONS is a route of everything below /v1/.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "servable/model_spec.h"

namespace tflite_serving {

enum class RestRoute {
  kNotApi,  // not below /v1/: answer with a 404 page
  kPredict,
  kClassify,
  kRegress,
  kStatus,
  kMetadata,
  kProfile,
  kList,
  kOptions,
};

struct RestPath {
  RestRoute route = RestRoute::kNotApi;
  ModelSpec spec;          // the name, and the version or label if the path has one
  std::string_view query;  // what stands behind the '?', as sent; points into the target
};

// What is said of a request that is no route: INVALID_ARGUMENT `Malformed request: POST /v1/models/m`.
Status MalformedRequest(std::string_view method, std::string_view target);

// Makes `path`, whose memory is used again, what a request says. `target` is its target as sent: path and query. MalformedRequest for what is
// below /v1/ without being one of the above, INVALID_ARGUMENT `Missing model name in request.` for /v1/models/versions/5 and the like,
// and `Failed to convert version: 18446744073709551615 to numeric.`
Status ParseRestPath(std::string_view method, std::string_view target, RestPath& path);

// The value of the first parameter `name` in a query such as "a=1&name=x%20y", with %XX and '+' decoded; empty without a '='. Nothing if there is
// no such parameter.
std::optional<std::string> FindQueryParameter(std::string_view query, std::string_view name);

}  // namespace tflite_serving
