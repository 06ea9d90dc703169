// The element types of .tflite files.
#pragma once

#include <string_view>

#include "runtime/litert_c_api.h"
#include "tensor/dtype.h"

namespace tflite_serving {

struct FileType {
  std::string_view name;           // the schema's: "FLOAT32"
  DType dtype = DType::kInvalid;   // of what has none here too
  LiteRtElementType element_type;  // none: LiteRT's C API cannot carry it in or out
};

// Of the schema's TensorType with this number; "unknown" where there is none.
FileType FileTypeOf(int number);

}  // namespace tflite_serving
