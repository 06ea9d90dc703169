#include "runtime/sample_inputs.h"

#include <algorithm>
#include <cstring>
#include <string_view>

namespace tflite_serving {
namespace {

Shape Closed(const Shape& shape, int64_t open_rows, int64_t open_dim) {
  Shape closed = shape;
  for (int i = 0; i < shape.rank(); ++i) {
    if (shape[i] < 0) closed.set(i, i == 0 ? open_rows : open_dim);
  }
  return closed;
}

template <typename Next>
StatusOr<Tensor> Strings(const Shape& shape, Next next) {
  const std::optional<int64_t> count = shape.NumElements();
  if (!count) return InvalidArgumentError("too many strings");
  StringTensorBuilder builder;
  TFLS_RETURN_IF_ERROR(builder.Start(*count));
  for (int64_t i = 0; i < *count; ++i) TFLS_RETURN_IF_ERROR(builder.Add(next()));
  return Tensor(DType::kString, shape, builder.Finish());
}

StatusOr<Tensor> Zeros(DType dtype, const Shape& shape, std::string_view text) {
  if (dtype == DType::kString) return Strings(shape, [&] { return text; });
  TFLS_ASSIGN_OR_RETURN(Tensor tensor, Tensor::Create(dtype, shape));
  if (!tensor.bytes().empty()) std::memset(tensor.bytes().data(), 0, tensor.bytes().size());
  return tensor;
}

template <typename T, typename Draw>
void Fill(std::span<std::byte> bytes, Draw draw) {
  for (size_t at = 0; at + sizeof(T) <= bytes.size(); at += sizeof(T)) {
    const T value = static_cast<T>(draw());
    std::memcpy(bytes.data() + at, &value, sizeof(value));
  }
}

// One that the model may know, or any.
std::string RandomText(std::span<const std::string> words, std::mt19937& random) {
  if (!words.empty() && random() % 2 == 0) return words[random() % words.size()];
  return std::string(1 + random() % 3, static_cast<char>('a' + random() % 26));
}

StatusOr<Tensor> Randoms(DType dtype, const Shape& shape, std::span<const std::string> words, std::mt19937& random) {
  if (dtype == DType::kString) return Strings(shape, [&] { return RandomText(words, random); });
  TFLS_ASSIGN_OR_RETURN(Tensor tensor, Tensor::Create(dtype, shape));
  const auto normal = [&] { return std::normal_distribution<double>()(random); };
  const auto bit = [&] { return random() & 1; };
  const auto byte = [&] { return random() & 0xFF; };
  switch (dtype) {
    case DType::kFloat:
    case DType::kComplex64:
      Fill<float>(tensor.bytes(), normal);
      break;
    case DType::kDouble:
      Fill<double>(tensor.bytes(), normal);
      break;
    case DType::kInt8:
    case DType::kUint8:
      Fill<uint8_t>(tensor.bytes(), byte);
      break;
    case DType::kBool:
      Fill<uint8_t>(tensor.bytes(), bit);
      break;
    case DType::kInt16:
    case DType::kUint16:
      Fill<uint16_t>(tensor.bytes(), bit);
      break;
    case DType::kInt32:
    case DType::kUint32:
      Fill<uint32_t>(tensor.bytes(), bit);
      break;
    case DType::kInt64:
    case DType::kUint64:
      Fill<uint64_t>(tensor.bytes(), bit);
      break;
    // The upper half of a float is a bfloat16; as a half, the same bits are a number between 2^-15 and 2.
    case DType::kBfloat16:
    case DType::kHalf:
      Fill<uint16_t>(tensor.bytes(), [&] { return random() & 0x3FFF; });
      break;
    default:
      return InternalError("an element type that signatures cannot have");
  }
  return tensor;
}

// The operator that parses what is fed into input number `input`; null where none does.
const ExampleOperator* FindParser(const GraphSignature& graph, size_t input) {
  const auto parser = std::ranges::find(graph.example_inputs, graph.input_slots[input], &ExampleInput::serialized_slot);
  return parser == graph.example_inputs.end() ? nullptr : &parser->op;
}

StatusOr<Tensor> RandomExamples(const ExampleOperator& parser, const Shape& shape, std::mt19937& random) {
  return Strings(shape, [&] { return parser.RandomExample(random); });
}

}  // namespace

StatusOr<std::vector<Tensor>> ZeroInputs(const GraphSignature& graph, int64_t open_dim) {
  std::vector<Tensor> tensors;
  for (size_t i = 0; i < graph.signature.inputs.size(); ++i) {
    const ExampleOperator* const parser = FindParser(graph, i);
    const TensorSpec& spec = graph.signature.inputs[i];
    TFLS_ASSIGN_OR_RETURN(Tensor tensor,
                          Zeros(spec.dtype, Closed(spec.shape, open_dim, open_dim), parser == nullptr ? "" : parser->SmallestExample()));
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

StatusOr<std::vector<Tensor>> RandomInputs(const GraphSignature& graph, std::span<const std::string> words, int64_t open_rows, int64_t open_dim,
                                           std::mt19937& random) {
  std::vector<Tensor> tensors;
  for (size_t i = 0; i < graph.signature.inputs.size(); ++i) {
    const ExampleOperator* const parser = FindParser(graph, i);
    const TensorSpec& spec = graph.signature.inputs[i];
    const Shape shape = Closed(spec.shape, open_rows, open_dim);
    TFLS_ASSIGN_OR_RETURN(Tensor tensor, parser == nullptr ? Randoms(spec.dtype, shape, words, random) : RandomExamples(*parser, shape, random));
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

std::vector<TensorView> ViewsOf(const std::vector<Tensor>& tensors) {
  std::vector<TensorView> views;
  views.reserve(tensors.size());
  for (const Tensor& tensor : tensors) views.push_back(tensor.view());
  return views;
}

}  // namespace tflite_serving
