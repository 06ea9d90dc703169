// The fields of tensorflow.TensorProto and TensorShapeProto (proto/tensorflow/core/framework), for their decoder and their encoder.
#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace tflite_serving {

inline constexpr uint32_t kDtypeField = 1;
inline constexpr uint32_t kShapeField = 2;
inline constexpr uint32_t kContentField = 4;
inline constexpr uint32_t kStringValField = 8;

inline constexpr uint32_t kShapeDimField = 2;
inline constexpr uint32_t kShapeUnknownRankField = 3;
inline constexpr uint32_t kDimSizeField = 1;

// The repeated field that holds the elements of a type; 0 for a type that has none.
constexpr uint32_t ValuesField(DType dtype) {
  switch (dtype) {
    case DType::kFloat:
      return 5;  // float_val
    case DType::kDouble:
      return 6;  // double_val
    case DType::kInt32:
    case DType::kInt16:
    case DType::kInt8:
    case DType::kUint16:
    case DType::kUint8:
      return 7;  // int_val
    case DType::kString:
      return kStringValField;
    case DType::kComplex64:
      return 9;  // scomplex_val
    case DType::kInt64:
      return 10;  // int64_val
    case DType::kBool:
      return 11;  // bool_val
    case DType::kComplex128:
      return 12;  // dcomplex_val
    case DType::kHalf:
    case DType::kBfloat16:
      return 13;  // half_val
    case DType::kUint32:
      return 16;  // uint32_val
    case DType::kUint64:
      return 17;  // uint64_val
    case DType::kInvalid:
    case DType::kInt4:
      return 0;
  }
  return 0;
}

}  // namespace tflite_serving
