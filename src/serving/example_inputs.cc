#include "serving/example_inputs.h"

#include <cmath>
#include <cstring>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include <fmt/format.h>

#include "example/example_reader.h"
#include "serving/real_values.h"
#include "tensor/half.h"

namespace tflite_serving {
namespace {

Status FeatureError(const TensorSpec& spec, size_t example, std::string_view problem) {
  return InvalidArgumentError(fmt::format("feature \"{}\" of example {}: {}", spec.name, example, problem));
}

// The kind of feature that the input is meant to get; kNone for an element type that no feature has values for.
FeatureKind KindFor(const TensorSpec& spec) {
  switch (spec.dtype) {
    case DType::kString:
      return FeatureKind::kBytes;
    case DType::kInvalid:
    case DType::kInt4:
    case DType::kComplex64:
    case DType::kComplex128:
      return FeatureKind::kNone;
    default:
      return HasRealValues(spec) ? FeatureKind::kFloat : FeatureKind::kInt64;
  }
}

// Writes the feature's values from `out` on, each as the Element that `convert` makes of it. The first value of which it made nothing, if there is
// one.
template <typename Element, typename Value, typename Convert>
std::optional<Value> Fill(const ExampleFeature& feature, std::byte* out, Convert convert) {
  std::optional<Value> misfit;
  const auto store = [&](Value value) {
    const std::optional<Element> element = convert(value);
    if (!element && !misfit) misfit = value;
    const Element stored = element.value_or(Element{});
    std::memcpy(out, &stored, sizeof(Element));
    out += sizeof(Element);
  };
  if constexpr (std::is_same_v<Value, float>) {
    feature.ForEachFloat(store);
  } else {
    feature.ForEachInt64(store);
  }
  return misfit;
}

template <typename Integer, typename Value>
std::optional<Value> FillQuantized(const ExampleFeature& feature, const Quantization& quantization, std::byte* out) {
  const double min = SmallestQuantized<Integer>(quantization);
  const double max = LargestQuantized<Integer>(quantization);
  return Fill<Integer, Value>(feature, out, [&](Value value) -> std::optional<Integer> {
    const auto real = static_cast<double>(value);
    if (std::isnan(real) || (std::is_integral_v<Value> && (real < min || real > max))) return std::nullopt;
    return Quantize<Integer>(quantization, real);
  });
}

// For inputs with real values.
template <typename Value>
std::optional<Value> FillReal(const ExampleFeature& feature, const TensorSpec& spec, std::byte* out) {
  switch (spec.dtype) {
    case DType::kDouble:
      return Fill<double, Value>(feature, out, [](Value value) { return static_cast<double>(value); });
    case DType::kHalf:
      return Fill<uint16_t, Value>(feature, out, [](Value value) { return HalfFromDouble(static_cast<double>(value)); });
    case DType::kBfloat16:
      return Fill<uint16_t, Value>(feature, out, [](Value value) { return Bfloat16FromDouble(static_cast<double>(value)); });
    case DType::kInt8:
      return FillQuantized<int8_t, Value>(feature, *spec.quantization, out);
    case DType::kUint8:
      return FillQuantized<uint8_t, Value>(feature, *spec.quantization, out);
    case DType::kInt16:
      return FillQuantized<int16_t, Value>(feature, *spec.quantization, out);
    default:
      return Fill<float, Value>(feature, out, [](Value value) { return static_cast<float>(value); });
  }
}

template <typename Integer>
std::optional<int64_t> FillIntegers(const ExampleFeature& feature, std::byte* out) {
  return Fill<Integer, int64_t>(
      feature, out, [](int64_t value) { return std::in_range<Integer>(value) ? std::optional(static_cast<Integer>(value)) : std::nullopt; });
}

// For inputs of integers and booleans.
std::optional<int64_t> FillWhole(const ExampleFeature& feature, DType dtype, std::byte* out) {
  switch (dtype) {
    case DType::kBool:
      return Fill<uint8_t, int64_t>(
          feature, out, [](int64_t value) { return value == 0 || value == 1 ? std::optional(static_cast<uint8_t>(value)) : std::nullopt; });
    case DType::kInt8:
      return FillIntegers<int8_t>(feature, out);
    case DType::kUint8:
      return FillIntegers<uint8_t>(feature, out);
    case DType::kInt16:
      return FillIntegers<int16_t>(feature, out);
    case DType::kUint16:
      return FillIntegers<uint16_t>(feature, out);
    case DType::kInt32:
      return FillIntegers<int32_t>(feature, out);
    case DType::kUint32:
      return FillIntegers<uint32_t>(feature, out);
    case DType::kUint64:
      return FillIntegers<uint64_t>(feature, out);
    default:
      return FillIntegers<int64_t>(feature, out);
  }
}

// One dense input, filled Example by Example.
class DenseInput {
 public:
  DenseInput(const TensorSpec& spec, size_t num_examples, AlignedBuffer memory)
      : spec_(spec), kind_(KindFor(spec)), num_examples_(num_examples), buffer_(std::move(memory)) {}

  // Appends the row of the next Example.
  Status Add(const ExampleReader& example, size_t index) {
    const ExampleFeature* const feature = example.Find(spec_.name);
    if (feature == nullptr || feature->kind() == FeatureKind::kNone) {
      return InvalidArgumentError(
          fmt::format("example {}: Feature: {} (data type: {}) is required but could not be found.", index, spec_.name, FeatureKindName(kind_)));
    }
    if (index == 0) TFLS_RETURN_IF_ERROR(Start(feature->count()));
    const bool whole_for_real = kind_ == FeatureKind::kFloat && feature->kind() == FeatureKind::kInt64;
    if (feature->kind() != kind_ && !whole_for_real) {
      return FeatureError(spec_, index, fmt::format("expected {} values, got {}", FeatureKindName(kind_), FeatureKindName(feature->kind())));
    }
    if (feature->count() != row_elements_) {
      return FeatureError(spec_, index, fmt::format("expected {} values, got {}", row_elements_, feature->count()));
    }
    return AddValues(*feature, index);
  }

  Tensor Finish() { return {spec_.dtype, shape_, kind_ == FeatureKind::kBytes ? strings_.Finish() : std::move(buffer_)}; }

 private:
  // Knowing how many values the first Example has: works out the shape, and makes room.
  Status Start(size_t first_count) {
    if (kind_ == FeatureKind::kNone || spec_.shape.rank() == 0) {
      return InvalidArgumentError(fmt::format("input \"{}\": {} cannot be made from Examples", spec_.name, spec_.ToString()));
    }
    shape_ = spec_.shape;
    shape_.set(0, 1);
    int open = 0;  // the open dimension; none: that of the Examples itself
    for (int i = 1; i < shape_.rank(); ++i) {
      if (shape_[i] >= 0) continue;
      if (open != 0) {
        return InvalidArgumentError(
            fmt::format("input \"{}\": {} has more than one dimension that an Example does not tell", spec_.name, spec_.ToString()));
      }
      open = i;
      shape_.set(i, 1);
    }
    const std::optional<int64_t> known = shape_.NumElements();
    if (open != 0 && known.value_or(0) > 0) shape_.set(open, static_cast<int64_t>(first_count) / *known);
    row_elements_ = static_cast<size_t>(shape_.NumElements().value_or(0));
    shape_.set(0, static_cast<int64_t>(num_examples_));
    TFLS_ASSIGN_OR_RETURN(const size_t size_bytes, TensorSizeBytes(spec_.dtype, shape_));
    if (kind_ == FeatureKind::kBytes) return strings_.Start(*shape_.NumElements());
    if (!buffer_.Resize(size_bytes)) return ResourceExhaustedError(fmt::format("no memory for input \"{}\" of {} bytes", spec_.name, size_bytes));
    return OkStatus();
  }

  // Requires that kind and count fit.
  Status AddValues(const ExampleFeature& feature, size_t index) {
    if (kind_ == FeatureKind::kBytes) {
      Status status;
      feature.ForEachBytes([&](std::string_view bytes) {
        if (status.ok()) status = strings_.Add(bytes);
      });
      return status;
    }
    std::byte* const out = buffer_.data() + index * row_elements_ * DTypeSize(spec_.dtype);
    if (feature.kind() == FeatureKind::kFloat) return CheckFit(FillReal<float>(feature, spec_, out), index);
    if (kind_ == FeatureKind::kFloat) return CheckFit(FillReal<int64_t>(feature, spec_, out), index);
    return CheckFit(FillWhole(feature, spec_.dtype, out), index);
  }

  template <typename Value>
  Status CheckFit(const std::optional<Value>& misfit, size_t index) const {
    if (!misfit) return OkStatus();
    const std::string scale =
        spec_.quantization ? fmt::format(" with scale {} and zero point {}", spec_.quantization->scale, spec_.quantization->zero_point) : "";
    return FeatureError(spec_, index, fmt::format("{} is out of range for {}{}", *misfit, DTypeName(spec_.dtype), scale));
  }

  const TensorSpec& spec_;
  const FeatureKind kind_;
  const size_t num_examples_;
  Shape shape_;
  size_t row_elements_ = 0;
  AlignedBuffer buffer_;
  StringTensorBuilder strings_;
};

Status FeedSerialized(const TensorSpec& spec, const SerializedExamples& examples, Tensor& input) {
  StringTensorBuilder strings;
  TFLS_RETURN_IF_ERROR(strings.Start(static_cast<int64_t>(examples.size())));
  for (size_t i = 0; i < examples.size(); ++i) TFLS_RETURN_IF_ERROR(strings.Add(examples[i]));
  input = Tensor(spec.dtype, {static_cast<int64_t>(examples.size())}, strings.Finish());
  return OkStatus();
}

}  // namespace

bool TakesSerializedExamples(const Signature& signature) {
  return signature.inputs.size() == 1 && signature.inputs[0].name == kExamplesInputName && signature.inputs[0].dtype == DType::kString;
}

Status ExamplesToInputs(const Signature& signature, const SerializedExamples& examples, std::vector<Tensor>& inputs) {
  if (examples.size() == 0) return InvalidArgumentError("Input is empty.");
  inputs.resize(signature.inputs.size());
  if (TakesSerializedExamples(signature)) return FeedSerialized(signature.inputs[0], examples, inputs[0]);
  std::vector<DenseInput> rows;
  rows.reserve(inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) rows.emplace_back(signature.inputs[i], examples.size(), std::move(inputs[i]).ReleaseBuffer());
  ExampleReader example;
  for (size_t i = 0; i < examples.size(); ++i) {
    if (const Status status = example.Parse(examples[i]); !status.ok()) {
      return InvalidArgumentError(fmt::format("example {} is malformed: {}", i, status.message()));
    }
    for (DenseInput& row : rows) TFLS_RETURN_IF_ERROR(row.Add(example, i));
  }
  for (size_t i = 0; i < inputs.size(); ++i) inputs[i] = rows[i].Finish();
  return OkStatus();
}

}  // namespace tflite_serving
