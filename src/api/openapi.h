// The REST port's description for programs (https://spec.openapis.org/oas/v3.0.3): openapi.json, which the build puts into the binary. A change of a
// route, a body or a status code is one there, too; tests/e2e/test_openapi.py holds it against the server.
#pragma once

#include <string_view>

namespace tflite_serving {

// JSON. Its info.version is the server's.
std::string_view OpenApiDocument();

}  // namespace tflite_serving
