#include "runtime/operators.h"

#include <algorithm>
#include <array>
#include <iterator>

#include <fmt/format.h>

#include "runtime/tflite_schema.h"

namespace tflite_serving {
namespace {

constexpr int32_t kCall = 31;
constexpr int32_t kIf = 118;
constexpr int32_t kWhile = 119;
constexpr int32_t kStablehloReduce = 174;
constexpr int32_t kStablehloWhile = 200;
constexpr int32_t kStablehloComposite = 206;
constexpr int32_t kStablehloCase = 209;
constexpr std::array kControlFlow = {kCall, kIf, kWhile, kStablehloReduce, kStablehloWhile, kStablehloComposite, kStablehloCase};

constexpr int32_t kShape = 77;
constexpr int32_t kRank = 110;
constexpr int32_t kHashtableImport = 138;
constexpr int32_t kAssignVariable = 144;

// Sorted. ADD, pooling, CONCATENATION, convolutions, DEPTH_TO_SPACE, DEQUANTIZE, FLOOR, FULLY_CONNECTED, L2 and local normalisation, LOGISTIC, MUL,
// the RELUs, SOFTMAX, SPACE_TO_DEPTH, SVDF, TANH, recurrent sequences, GATHER, element-wise arithmetic, comparisons and logic, SELECT, SHAPE, PACK,
// UNPACK, QUANTIZE, BATCH_MATMUL, CUMSUM, CONV_3D, GELU and their like.
constexpr std::array<int32_t, 85> kFromShapes = {
    0,  1,  2,   3,   4,   5,   6,   8,   9,   11,  12,  13,  14,  17,  18,  19,  20,  21,  25,  26,  27,  28,  35,  36,  41,  42,  43, 44, 47,
    50, 53, 54,  55,  57,  58,  59,  61,  62,  63,  64,  66,  71,  72,  73,  75,  76,  77,  78,  80,  83,  84,  86,  87,  88,  90,  92, 93, 95,
    98, 99, 101, 104, 105, 106, 107, 108, 110, 111, 112, 113, 114, 115, 116, 117, 123, 126, 128, 132, 150, 151, 152, 156, 158, 160, 161};

// Sorted. RESHAPE, RESIZE_BILINEAR, PAD, BATCH_TO_SPACE_ND, SPACE_TO_BATCH_ND, TRANSPOSE, MEAN, STRIDED_SLICE, TOPK_V2, ARG_MAX, PADV2, SLICE, TILE,
// EXPAND_DIMS, SUM, ARG_MIN, REDUCE_PROD, REDUCE_MAX, ONE_HOT, REDUCE_MIN, REDUCE_ANY, RESIZE_NEAREST_NEIGHBOR, MIRROR_PAD, SPLIT_V, BROADCAST_TO,
// REDUCE_ALL.
constexpr std::array<int32_t, 26> kTailIsConstant = {22, 23, 34, 37, 38, 39, 40, 45, 48, 56,  60,  65,  69,
                                                     70, 74, 79, 81, 82, 85, 89, 91, 97, 100, 102, 130, 140};

// SPLIT takes its axis first, TRANSPOSE_CONV its output shape.
constexpr std::array<int32_t, 2> kFirstIsConstant = {49, 67};

static_assert(std::ranges::is_sorted(kFromShapes) && std::ranges::is_sorted(kTailIsConstant));

// The custom operators that LiteRT brings along.
constexpr std::string_view kRuntimeCustomOperators[] = {"AudioSpectrogram",
                                                        "Convolution2DTransposeBias",
                                                        "MaxPoolingWithArgmax2D",
                                                        "MaxUnpooling2D",
                                                        "Mfcc",
                                                        "NumericVerify",
                                                        "TFLite_Detection_PostProcess",
                                                        "aeq.hadamard_rotation",
                                                        "odml.scaled_dot_product_attention"};
constexpr std::string_view kFlexPrefix = "Flex";

// BuiltinOperator's names, by number.
constexpr std::string_view kNames[] = {
    "ADD",
    "AVERAGE_POOL_2D",
    "CONCATENATION",
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "DEPTH_TO_SPACE",
    "DEQUANTIZE",
    "EMBEDDING_LOOKUP",
    "FLOOR",
    "FULLY_CONNECTED",
    "HASHTABLE_LOOKUP",
    "L2_NORMALIZATION",
    "L2_POOL_2D",
    "LOCAL_RESPONSE_NORMALIZATION",
    "LOGISTIC",
    "LSH_PROJECTION",
    "LSTM",
    "MAX_POOL_2D",
    "MUL",
    "RELU",
    "RELU_N1_TO_1",
    "RELU6",
    "RESHAPE",
    "RESIZE_BILINEAR",
    "RNN",
    "SOFTMAX",
    "SPACE_TO_DEPTH",
    "SVDF",
    "TANH",
    "CONCAT_EMBEDDINGS",
    "SKIP_GRAM",
    "CALL",
    "CUSTOM",
    "EMBEDDING_LOOKUP_SPARSE",
    "PAD",
    "UNIDIRECTIONAL_SEQUENCE_RNN",
    "GATHER",
    "BATCH_TO_SPACE_ND",
    "SPACE_TO_BATCH_ND",
    "TRANSPOSE",
    "MEAN",
    "SUB",
    "DIV",
    "SQUEEZE",
    "UNIDIRECTIONAL_SEQUENCE_LSTM",
    "STRIDED_SLICE",
    "BIDIRECTIONAL_SEQUENCE_RNN",
    "EXP",
    "TOPK_V2",
    "SPLIT",
    "LOG_SOFTMAX",
    "DELEGATE",
    "BIDIRECTIONAL_SEQUENCE_LSTM",
    "CAST",
    "PRELU",
    "MAXIMUM",
    "ARG_MAX",
    "MINIMUM",
    "LESS",
    "NEG",
    "PADV2",
    "GREATER",
    "GREATER_EQUAL",
    "LESS_EQUAL",
    "SELECT",
    "SLICE",
    "SIN",
    "TRANSPOSE_CONV",
    "SPARSE_TO_DENSE",
    "TILE",
    "EXPAND_DIMS",
    "EQUAL",
    "NOT_EQUAL",
    "LOG",
    "SUM",
    "SQRT",
    "RSQRT",
    "SHAPE",
    "POW",
    "ARG_MIN",
    "FAKE_QUANT",
    "REDUCE_PROD",
    "REDUCE_MAX",
    "PACK",
    "LOGICAL_OR",
    "ONE_HOT",
    "LOGICAL_AND",
    "LOGICAL_NOT",
    "UNPACK",
    "REDUCE_MIN",
    "FLOOR_DIV",
    "REDUCE_ANY",
    "SQUARE",
    "ZEROS_LIKE",
    "FILL",
    "FLOOR_MOD",
    "RANGE",
    "RESIZE_NEAREST_NEIGHBOR",
    "LEAKY_RELU",
    "SQUARED_DIFFERENCE",
    "MIRROR_PAD",
    "ABS",
    "SPLIT_V",
    "UNIQUE",
    "CEIL",
    "REVERSE_V2",
    "ADD_N",
    "GATHER_ND",
    "COS",
    "WHERE",
    "RANK",
    "ELU",
    "REVERSE_SEQUENCE",
    "MATRIX_DIAG",
    "QUANTIZE",
    "MATRIX_SET_DIAG",
    "ROUND",
    "HARD_SWISH",
    "IF",
    "WHILE",
    "NON_MAX_SUPPRESSION_V4",
    "NON_MAX_SUPPRESSION_V5",
    "SCATTER_ND",
    "SELECT_V2",
    "DENSIFY",
    "SEGMENT_SUM",
    "BATCH_MATMUL",
    "PLACEHOLDER_FOR_GREATER_OP_CODES",
    "CUMSUM",
    "CALL_ONCE",
    "BROADCAST_TO",
    "RFFT2D",
    "CONV_3D",
    "IMAG",
    "REAL",
    "COMPLEX_ABS",
    "HASHTABLE",
    "HASHTABLE_FIND",
    "HASHTABLE_IMPORT",
    "HASHTABLE_SIZE",
    "REDUCE_ALL",
    "CONV_3D_TRANSPOSE",
    "VAR_HANDLE",
    "READ_VARIABLE",
    "ASSIGN_VARIABLE",
    "BROADCAST_ARGS",
    "RANDOM_STANDARD_NORMAL",
    "BUCKETIZE",
    "RANDOM_UNIFORM",
    "MULTINOMIAL",
    "GELU",
    "DYNAMIC_UPDATE_SLICE",
    "RELU_0_TO_1",
    "UNSORTED_SEGMENT_PROD",
    "UNSORTED_SEGMENT_MAX",
    "UNSORTED_SEGMENT_SUM",
    "ATAN2",
    "UNSORTED_SEGMENT_MIN",
    "SIGN",
    "BITCAST",
    "BITWISE_XOR",
    "RIGHT_SHIFT",
    "STABLEHLO_LOGISTIC",
    "STABLEHLO_ADD",
    "STABLEHLO_DIVIDE",
    "STABLEHLO_MULTIPLY",
    "STABLEHLO_MAXIMUM",
    "STABLEHLO_RESHAPE",
    "STABLEHLO_CLAMP",
    "STABLEHLO_CONCATENATE",
    "STABLEHLO_BROADCAST_IN_DIM",
    "STABLEHLO_CONVOLUTION",
    "STABLEHLO_SLICE",
    "STABLEHLO_CUSTOM_CALL",
    "STABLEHLO_REDUCE",
    "STABLEHLO_ABS",
    "STABLEHLO_AND",
    "STABLEHLO_COSINE",
    "STABLEHLO_EXPONENTIAL",
    "STABLEHLO_FLOOR",
    "STABLEHLO_LOG",
    "STABLEHLO_MINIMUM",
    "STABLEHLO_NEGATE",
    "STABLEHLO_OR",
    "STABLEHLO_POWER",
    "STABLEHLO_REMAINDER",
    "STABLEHLO_RSQRT",
    "STABLEHLO_SELECT",
    "STABLEHLO_SUBTRACT",
    "STABLEHLO_TANH",
    "STABLEHLO_SCATTER",
    "STABLEHLO_COMPARE",
    "STABLEHLO_CONVERT",
    "STABLEHLO_DYNAMIC_SLICE",
    "STABLEHLO_DYNAMIC_UPDATE_SLICE",
    "STABLEHLO_PAD",
    "STABLEHLO_IOTA",
    "STABLEHLO_DOT_GENERAL",
    "STABLEHLO_REDUCE_WINDOW",
    "STABLEHLO_SORT",
    "STABLEHLO_WHILE",
    "STABLEHLO_GATHER",
    "STABLEHLO_TRANSPOSE",
    "DILATE",
    "STABLEHLO_RNG_BIT_GENERATOR",
    "REDUCE_WINDOW",
    "STABLEHLO_COMPOSITE",
    "STABLEHLO_SHIFT_LEFT",
    "STABLEHLO_CBRT",
    "STABLEHLO_CASE",
};

}  // namespace

std::string OperatorName(int32_t op) {
  return op >= 0 && static_cast<size_t>(op) < std::size(kNames) ? std::string(kNames[op]) : fmt::format("operator number {}", op);
}

std::string DescribeOperator(const FileSubgraph& subgraph, size_t number, const FileOperator& op) {
  const std::string name = op.code == kCustomOperator ? op.custom_name : OperatorName(op.code);
  const bool has_output = !op.outputs.empty() && op.outputs[0] >= 0;
  return fmt::format("{} v{} at operator {} of subgraph {} \"{}\"{}", name, op.version, op.number, number, subgraph.name,
                     has_output ? fmt::format(" (output tensor \"{}\")", subgraph.tensors[static_cast<size_t>(op.outputs[0])].name) : "");
}

Status CheckOperators(const std::string& path, const TfliteFile& file) {
  for (size_t i = 0; i < file.subgraphs.size(); ++i) {
    for (const FileOperator& op : file.subgraphs[i].operators) {
      if (op.library_number >= 0) continue;
      const auto refuse = [&](std::string_view hint) {
        return UnimplementedError(
            fmt::format("{}: the runtime lacks an operator of the model: {}{}", path, DescribeOperator(file.subgraphs[i], i, op), hint));
      };
      if (op.code == kCustomOperator && op.custom_name.starts_with(kFlexPrefix)) {
        return refuse(
            "; it is TensorFlow's own: convert the model with TFLITE_BUILTINS alone, without SELECT_TF_OPS, and replace what the converter then "
            "names");
      }
      if (op.code == kCustomOperator && std::ranges::find(kRuntimeCustomOperators, op.custom_name) == std::end(kRuntimeCustomOperators)) {
        return refuse(", a custom operator, which no --custom_op_library has");
      }
      if (op.code >= static_cast<int32_t>(std::size(kNames))) return refuse("; the model is newer than this server");
    }
  }
  return OkStatus();
}

bool WritesState(int32_t op) { return op == kHashtableImport || op == kAssignVariable; }

bool IsControlFlow(int32_t op) { return std::ranges::find(kControlFlow, op) != std::end(kControlFlow); }

bool ReadsShapesOnly(int32_t op) { return op == kShape || op == kRank; }

ShapeRule ShapeRuleOf(int32_t op) {
  if (std::ranges::binary_search(kFromShapes, op)) return ShapeRule::kFromShapes;
  if (std::ranges::binary_search(kTailIsConstant, op)) return ShapeRule::kIfTailIsConstant;
  if (std::ranges::find(kFirstIsConstant, op) != std::end(kFirstIsConstant)) return ShapeRule::kIfFirstIsConstant;
  return ShapeRule::kUnknown;
}

}  // namespace tflite_serving
