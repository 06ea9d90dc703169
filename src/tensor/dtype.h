// Element types. The numbers are tensorflow.DataType's (types.proto), because they go onto the wire as they are.
#pragma once

#include <cstddef>
#include <string_view>

namespace tflite_serving {

enum class DType : int {
  kInvalid = 0,
  kFloat = 1,
  kDouble = 2,
  kInt32 = 3,
  kUint8 = 4,
  kInt16 = 5,
  kInt8 = 6,
  kString = 7,
  kComplex64 = 8,
  kInt64 = 9,
  kBool = 10,
  kBfloat16 = 14,
  kUint16 = 17,
  kComplex128 = 18,
  kHalf = 19,
  kUint32 = 22,
  kUint64 = 23,
  kInt4 = 29,
};

// Bytes of one element in a tensor's memory: 8 for int64. 0 for strings (their length varies), for int4 (two in a byte) and for kInvalid.
size_t DTypeSize(DType dtype);

// The name that TensorFlow's messages use: "float", "int64", "string", "half".
std::string_view DTypeName(DType dtype);

// The enumerator's name in types.proto, as metadata JSON prints it: "DT_FLOAT".
std::string_view DTypeProtoName(DType dtype);

// kInvalid for a number that is none of the above.
DType DTypeFromNumber(int number);

}  // namespace tflite_serving
