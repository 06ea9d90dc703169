#include "runtime/tensor_type.h"

#include <cstddef>
#include <iterator>

#include "runtime/tflite_schema.h"

namespace tflite_serving {
namespace {

// By number.
constexpr FileType kFileTypes[] = {
    {"FLOAT32", DType::kFloat, kLiteRtElementTypeFloat32},
    {"FLOAT16", DType::kHalf, kLiteRtElementTypeFloat16},
    {"INT32", DType::kInt32, kLiteRtElementTypeInt32},
    {"UINT8", DType::kUint8, kLiteRtElementTypeUInt8},
    {"INT64", DType::kInt64, kLiteRtElementTypeInt64},
    {"STRING", DType::kString, kLiteRtElementTypeTfString},
    {"BOOL", DType::kBool, kLiteRtElementTypeBool},
    {"INT16", DType::kInt16, kLiteRtElementTypeInt16},
    {"COMPLEX64", DType::kComplex64, kLiteRtElementTypeComplex64},
    {"INT8", DType::kInt8, kLiteRtElementTypeInt8},
    {"FLOAT64", DType::kDouble, kLiteRtElementTypeFloat64},
    {"COMPLEX128", DType::kComplex128, kLiteRtElementTypeNone},
    {"UINT64", DType::kUint64, kLiteRtElementTypeUInt64},
    {"RESOURCE", DType::kInvalid, kLiteRtElementTypeNone},
    {"VARIANT", DType::kInvalid, kLiteRtElementTypeNone},
    {"UINT32", DType::kUint32, kLiteRtElementTypeUInt32},
    {"UINT16", DType::kUint16, kLiteRtElementTypeUInt16},
    {"INT4", DType::kInt4, kLiteRtElementTypeNone},
    {"BFLOAT16", DType::kBfloat16, kLiteRtElementTypeBFloat16},
    {"INT2", DType::kInvalid, kLiteRtElementTypeNone},
    {"UINT4", DType::kInvalid, kLiteRtElementTypeNone},
    {"FLOAT8_E4M3FN", DType::kInvalid, kLiteRtElementTypeNone},
    {"FLOAT8_E5M2", DType::kInvalid, kLiteRtElementTypeNone},
};
static_assert(kFileTypes[kStringType].dtype == DType::kString);

}  // namespace

FileType FileTypeOf(int number) {
  const bool is_known = number >= 0 && static_cast<size_t>(number) < std::size(kFileTypes);
  return is_known ? kFileTypes[number] : FileType{"unknown", DType::kInvalid, kLiteRtElementTypeNone};
}

}  // namespace tflite_serving
