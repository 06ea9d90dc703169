// The numbers of TFLite's schema.fbs that its reader (tflite_file.h) and its writer (edited_file.h) share: fields of its tables, in order of
// declaration, and a few of its enums.
#pragma once

#include <cstdint>
#include <string_view>

namespace tflite_serving {

inline constexpr std::string_view kTfliteIdentifier = "TFL3";

// BuiltinOperator
inline constexpr int32_t kCustomOperator = 32;
inline constexpr int32_t kStridedSliceOperator = 45;
// BuiltinOptions
inline constexpr uint8_t kStridedSliceOptions = 32;
// TensorType
inline constexpr int kInt32Type = 2;
inline constexpr int kInt64Type = 4;
inline constexpr int kStringType = 5;
inline constexpr int kFloat32Type = 0;
inline constexpr int kResourceType = 13;
inline constexpr int kVariantType = 14;

namespace model_field {
inline constexpr int kVersion = 0;
inline constexpr int kOperatorCodes = 1;
inline constexpr int kSubgraphs = 2;
inline constexpr int kDescription = 3;
inline constexpr int kBuffers = 4;
inline constexpr int kMetadataBuffer = 5;
inline constexpr int kMetadata = 6;
inline constexpr int kSignatureDefs = 7;
inline constexpr int kUnknown = 8;
}  // namespace model_field
namespace subgraph_field {
inline constexpr int kTensors = 0;
inline constexpr int kInputs = 1;
inline constexpr int kOutputs = 2;
inline constexpr int kOperators = 3;
inline constexpr int kName = 4;
inline constexpr int kUnknown = 6;  // 5 is an index into a debugger's metadata
}  // namespace subgraph_field
namespace tensor_field {
inline constexpr int kShape = 0;
inline constexpr int kType = 1;
inline constexpr int kBuffer = 2;
inline constexpr int kName = 3;
inline constexpr int kQuantization = 4;
inline constexpr int kIsVariable = 5;
inline constexpr int kShapeSignature = 7;
inline constexpr int kHasRank = 8;
}  // namespace tensor_field
namespace operator_field {
inline constexpr int kOpcodeIndex = 0;
inline constexpr int kInputs = 1;
inline constexpr int kOutputs = 2;
inline constexpr int kBuiltinOptionsType = 3;
inline constexpr int kBuiltinOptions = 4;
inline constexpr int kCustomOptions = 5;
}  // namespace operator_field
namespace operator_code_field {
inline constexpr int kDeprecatedBuiltinCode = 0;
inline constexpr int kCustomCode = 1;
inline constexpr int kVersion = 2;
inline constexpr int kBuiltinCode = 3;
}  // namespace operator_code_field
namespace quantization_field {
inline constexpr int kScale = 2;
inline constexpr int kZeroPoint = 3;
}  // namespace quantization_field
namespace strided_slice_field {
inline constexpr int kBeginMask = 0;
inline constexpr int kEndMask = 1;
}  // namespace strided_slice_field
namespace metadata_field {
inline constexpr int kName = 0;
inline constexpr int kBuffer = 1;
}  // namespace metadata_field
namespace call_once_field {
inline constexpr int kInitSubgraphIndex = 0;
}  // namespace call_once_field
namespace signature_field {
inline constexpr int kInputs = 0;
inline constexpr int kOutputs = 1;
inline constexpr int kKey = 2;
inline constexpr int kSubgraphIndex = 4;
}  // namespace signature_field
namespace tensor_map_field {
inline constexpr int kName = 0;
inline constexpr int kTensorIndex = 1;
}  // namespace tensor_map_field
namespace buffer_field {
inline constexpr int kData = 0;
inline constexpr int kOffset = 1;
inline constexpr int kSize = 2;
}  // namespace buffer_field

}  // namespace tflite_serving
