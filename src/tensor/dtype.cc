#include "tensor/dtype.h"

#include <array>

namespace tflite_serving {
namespace {

struct Row {
  DType dtype;
  size_t size_bytes;
  std::string_view name;
  std::string_view proto_name;
};

constexpr Row kRows[] = {
    {DType::kInvalid, 0, "INVALID", "DT_INVALID"},
    {DType::kFloat, 4, "float", "DT_FLOAT"},
    {DType::kDouble, 8, "double", "DT_DOUBLE"},
    {DType::kInt32, 4, "int32", "DT_INT32"},
    {DType::kUint8, 1, "uint8", "DT_UINT8"},
    {DType::kInt16, 2, "int16", "DT_INT16"},
    {DType::kInt8, 1, "int8", "DT_INT8"},
    {DType::kString, 0, "string", "DT_STRING"},
    {DType::kComplex64, 8, "complex64", "DT_COMPLEX64"},
    {DType::kInt64, 8, "int64", "DT_INT64"},
    {DType::kBool, 1, "bool", "DT_BOOL"},
    {DType::kBfloat16, 2, "bfloat16", "DT_BFLOAT16"},
    {DType::kUint16, 2, "uint16", "DT_UINT16"},
    {DType::kComplex128, 16, "complex128", "DT_COMPLEX128"},
    {DType::kHalf, 2, "half", "DT_HALF"},
    {DType::kUint32, 4, "uint32", "DT_UINT32"},
    {DType::kUint64, 8, "uint64", "DT_UINT64"},
    {DType::kInt4, 0, "int4", "DT_INT4"},
};
constexpr int kNumbers = 30;

// From a type's number to its row.
constexpr std::array<Row, kNumbers> kByNumber = [] {
  std::array<Row, kNumbers> table{};
  table.fill(kRows[0]);
  for (const Row& row : kRows) table[static_cast<size_t>(row.dtype)] = row;
  return table;
}();

const Row& RowOf(DType dtype) { return kByNumber[static_cast<size_t>(DTypeFromNumber(static_cast<int>(dtype)))]; }

}  // namespace

size_t DTypeSize(DType dtype) { return RowOf(dtype).size_bytes; }
std::string_view DTypeName(DType dtype) { return RowOf(dtype).name; }
std::string_view DTypeProtoName(DType dtype) { return RowOf(dtype).proto_name; }

DType DTypeFromNumber(int number) {
  if (number < 0 || number >= kNumbers) return DType::kInvalid;
  return kByNumber[static_cast<size_t>(number)].dtype;
}

}  // namespace tflite_serving
