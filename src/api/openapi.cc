#include "api/openapi.h"

namespace tflite_serving {

std::string_view OpenApiDocument() {
  return
#include <openapi.inc>
      ;
}

}  // namespace tflite_serving
