#include "runtime/operators.h"

#include <algorithm>
#include <array>
#include <iterator>

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

}  // namespace

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
