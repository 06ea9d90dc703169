#include "runtime/example_operator.h"

#include <algorithm>
#include <cstring>
#include <random>
#include <utility>

#include <fmt/format.h>

#include "runtime/tflite_schema.h"
#include "wire/message_writer.h"

namespace tflite_serving {
namespace {

constexpr std::string_view kFirstVersion = "ParseExample";
constexpr std::string_view kSecondVersion = "ParseExampleV2";

// The numbers of an output's type in the file, in memory, and in an Example.
struct FeatureType {
  int file_type;
  DType dtype;
  FeatureKind kind;
};
constexpr FeatureType kFeatureTypes[] = {{kFloat32Type, DType::kFloat, FeatureKind::kFloat},
                                         {kInt64Type, DType::kInt64, FeatureKind::kInt64},
                                         {kStringType, DType::kString, FeatureKind::kBytes}};

FeatureKind KindOf(DType dtype) {
  return dtype == DType::kFloat ? FeatureKind::kFloat : dtype == DType::kInt64 ? FeatureKind::kInt64 : FeatureKind::kBytes;
}

std::string_view TypeName(FeatureKind kind) { return kind == FeatureKind::kBytes ? "string" : FeatureKindName(kind); }

// Adds room for `count` elements of T, and returns where; null if there is no memory.
template <typename T>
std::byte* Grow(AlignedBuffer& buffer, size_t count) {
  const size_t size = buffer.size();
  return buffer.Resize(size + count * sizeof(T)) ? buffer.data() + size : nullptr;
}

Status NoMemory(std::string_view feature) { return ResourceExhaustedError(fmt::format("feature \"{}\": no memory for its values", feature)); }

constexpr size_t kMaxConstantBytes = size_t{64} << 20;  // of an operator: its features' names and defaults
constexpr size_t kIndexBytes = 2 * sizeof(int64_t);     // of a sparse value: which Example, and which of its values

// What a value takes while it is collected: numbers themselves, of texts where they lie.
size_t CollectedSize(DType dtype) { return dtype == DType::kString ? sizeof(std::string_view) : DTypeSize(dtype); }

// Takes count * size bytes of `room`.
Status Spend(std::string_view feature, size_t count, size_t size, size_t& room) {
  if (count > room / size) {
    return ResourceExhaustedError(
        fmt::format("feature \"{}\": {} bytes more, of the {} that the request's Examples may still take", feature, count * size, room));
  }
  room -= count * size;
  return OkStatus();
}

StatusOr<Tensor> TextTensor(const Shape& shape, const std::vector<std::string_view>& texts, size_t count) {
  StringTensorBuilder builder;
  TFLS_RETURN_IF_ERROR(builder.Start(static_cast<int64_t>(count)));
  for (const std::string_view text : texts) TFLS_RETURN_IF_ERROR(builder.Add(text));
  return Tensor(DType::kString, shape, builder.Finish());
}

StatusOr<Tensor> Int64Tensor(DType dtype, const Shape& shape, const std::vector<int64_t>& values) {
  TFLS_ASSIGN_OR_RETURN(Tensor tensor, Tensor::Create(dtype, shape));
  std::byte* to = tensor.bytes().data();
  for (const int64_t value : values) {
    const auto narrow = static_cast<int32_t>(value);
    if (dtype == DType::kInt32) std::memcpy(std::exchange(to, to + sizeof(narrow)), &narrow, sizeof(narrow));
    if (dtype == DType::kInt64) std::memcpy(std::exchange(to, to + sizeof(value)), &value, sizeof(value));
  }
  return tensor;
}

std::string DelimitedField(uint32_t number, std::string_view inside) {
  std::string field(DelimitedSize(number, inside.size()), '\0');
  MessageWriter writer(std::as_writable_bytes(std::span(field)));
  writer.Delimited(number, inside.size());
  writer.Text(inside);
  return field;
}

}  // namespace

// Reads one operator. Inputs: serialized, names, then
//   ParseExample:   each sparse key, each dense key, each dense default
//   ParseExampleV2: all sparse keys, all dense keys, all ragged keys, each dense default
// Outputs: each sparse feature's indices, each one's values, each one's dense shape, each dense feature, each ragged one's values, each one's row
// splits.
class ExampleOperator::Reader {
 public:
  Reader(std::string_view where, const FileSubgraph& subgraph, const FileOperator& op) : where_(where), subgraph_(subgraph), op_(op) {}

  StatusOr<ExampleOperator> Read() {
    TFLS_RETURN_IF_ERROR(ReadKeys());
    const size_t sparse = keys_[kSparseKeys].size();
    const size_t dense = keys_[kDenseKeys].size();
    const size_t ragged = keys_[kRaggedKeys].size();
    const size_t num_outputs = 3 * sparse + dense + 2 * ragged;
    if (op_.outputs.size() != num_outputs || op_.inputs.size() != first_default_ + dense) {
      return Refuse(fmt::format("it has {} inputs and {} outputs, for {} sparse, {} dense and {} ragged features", op_.inputs.size(),
                                op_.outputs.size(), sparse, dense, ragged));
    }
    const FileTensor* serialized = TensorOf(op_.inputs[0]);
    if (serialized == nullptr || serialized->type != kStringType || serialized->dims.size() != 1) return Refuse("it parses no list of Examples");
    result_.num_outputs_ = num_outputs;
    result_.row_too_many_.resize(num_outputs);
    for (size_t i = 0; i < sparse; ++i) {
      TFLS_RETURN_IF_ERROR(
          AddRows({.form = Form::kSparse, .name = keys_[kSparseKeys][i], .values = sparse + i, .indices = i, .partition = 2 * sparse + i}));
    }
    for (size_t i = 0; i < dense; ++i) {
      TFLS_RETURN_IF_ERROR(AddDense({.form = Form::kDense, .name = keys_[kDenseKeys][i], .values = 3 * sparse + i}, op_.inputs[first_default_ + i]));
    }
    for (size_t i = 0; i < ragged; ++i) {
      const size_t values = 3 * sparse + dense + i;
      TFLS_RETURN_IF_ERROR(AddRows({.form = Form::kRagged, .name = keys_[kRaggedKeys][i], .values = values, .partition = values + ragged}));
    }
    return std::move(result_);
  }

 private:
  enum Keys : uint8_t { kSparseKeys, kDenseKeys, kRaggedKeys, kNumKeys };
  static constexpr size_t kFirstKey = 2;  // behind `serialized` and `names`

  Status Refuse(std::string_view reason) const { return UnimplementedError(fmt::format("{}: {}", where_, reason)); }

  const FileTensor* TensorOf(int32_t number) const { return number < 0 ? nullptr : &subgraph_.tensors[static_cast<size_t>(number)]; }

  Status ReadKeys() {
    if (op_.inputs.size() < kFirstKey) return Refuse("it has no inputs");
    if (op_.custom_name == kSecondVersion) {
      first_default_ = kFirstKey + kNumKeys;
      if (op_.inputs.size() < first_default_) return Refuse("it lacks lists of features");
      for (size_t i = 0; i < kNumKeys; ++i) TFLS_RETURN_IF_ERROR(ReadTexts(op_.inputs[kFirstKey + i], keys_[i]));
      return OkStatus();
    }
    // inputs = 2 + sparse + 2 dense, outputs = 3 sparse + dense
    const size_t sparse = (2 * op_.outputs.size() + kFirstKey - std::min(op_.inputs.size(), 2 * op_.outputs.size() + kFirstKey)) / 5;
    const size_t dense = op_.outputs.size() - std::min(op_.outputs.size(), 3 * sparse);
    first_default_ = kFirstKey + sparse + dense;
    if (3 * sparse > op_.outputs.size() || op_.inputs.size() != first_default_ + dense) return Refuse("its inputs do not fit its outputs");
    for (size_t i = 0; i < sparse + dense; ++i) {
      TFLS_RETURN_IF_ERROR(ReadTexts(op_.inputs[kFirstKey + i], keys_[i < sparse ? kSparseKeys : kDenseKeys]));
    }
    return OkStatus();
  }

  // To be called with each constant that is copied: any number of features may name one.
  Status CountConstant(const FileTensor& tensor) {
    if (tensor.constant.size() > kMaxConstantBytes - constant_bytes_) {
      return Refuse(fmt::format("the names and defaults of its features exceed {} bytes", kMaxConstantBytes));
    }
    constant_bytes_ += tensor.constant.size();
    return OkStatus();
  }

  // Adds the strings of a constant tensor.
  Status ReadTexts(int32_t number, std::vector<std::string>& texts) {
    const FileTensor* tensor = TensorOf(number);
    int32_t count = 0;
    if (tensor == nullptr || tensor->type != kStringType || tensor->constant.size() < sizeof(count)) {
      return Refuse(fmt::format("its input \"{}\" is no constant list of strings", tensor == nullptr ? "" : tensor->name));
    }
    TFLS_RETURN_IF_ERROR(CountConstant(*tensor));
    std::memcpy(&count, tensor->constant.data(), sizeof(count));
    const TensorView view{DType::kString, {}, tensor->constant};
    if (const Status status = ValidateStrings(tensor->constant, count); !status.ok()) {
      return Refuse(fmt::format("its input \"{}\": {}", tensor->name, status.message()));
    }
    for (int64_t i = 0; i < count; ++i) texts.emplace_back(view.StringAt(i));
    return OkStatus();
  }

  // The type of the feature's values, from their output.
  Status ReadType(Feature& feature) {
    const FileTensor* tensor = TensorOf(op_.outputs[feature.values]);
    const int type = tensor == nullptr ? -1 : tensor->type;
    const auto found = std::ranges::find(kFeatureTypes, type, &FeatureType::file_type);
    if (found == std::end(kFeatureTypes))
      return Refuse(fmt::format("feature \"{}\" has an element type (number {}) that Examples do not", feature.name, type));
    feature.dtype = found->dtype;
    return OkStatus();
  }

  Status AddRows(Feature feature) {
    TFLS_RETURN_IF_ERROR(ReadType(feature));
    result_.row_too_many_[feature.values] = true;
    if (feature.form == Form::kSparse) result_.row_too_many_[feature.indices] = true;
    const FileTensor* partition = TensorOf(op_.outputs[feature.partition]);
    const FileTensor* indices = feature.form == Form::kSparse ? TensorOf(op_.outputs[feature.indices]) : nullptr;
    if (partition != nullptr && partition->type == kInt32Type) feature.partition_dtype = DType::kInt32;
    for (const FileTensor* tensor : {partition, indices}) {
      if (tensor == nullptr || tensor->type == kInt64Type || (tensor == partition && tensor->type == kInt32Type)) continue;
      return Refuse(fmt::format("its output \"{}\" has an element type (number {}) that no index has", tensor->name, tensor->type));
    }
    result_.features_.push_back(std::move(feature));
    return OkStatus();
  }

  Status AddDense(Feature feature, int32_t default_number) {
    TFLS_RETURN_IF_ERROR(ReadType(feature));
    const FileTensor& output = *TensorOf(op_.outputs[feature.values]);
    bool is_known = !output.dims.empty();
    for (size_t i = 1; i < output.dims.size(); ++i) is_known = is_known && output.dims[i] > 0 && feature.shape.Append(output.dims[i]);
    const int64_t count = is_known ? feature.shape.NumElements().value_or(0) : 0;
    if (count == 0) {
      return Refuse(fmt::format("its output \"{}\", feature \"{}\", has a shape that is known only in the run", output.name, feature.name));
    }
    feature.count = static_cast<size_t>(count);
    const size_t size = std::max(DTypeSize(feature.dtype), sizeof(int32_t));  // strings have an offset at least
    if (feature.count > (kMaxTensorBytes - dense_bytes_) / size) {
      return Refuse(fmt::format("feature \"{}\": the dense features of one Example exceed {} bytes", feature.name, kMaxTensorBytes));
    }
    dense_bytes_ += feature.count * size;
    TFLS_RETURN_IF_ERROR(ReadDefault(TensorOf(default_number), feature));
    result_.features_.push_back(std::move(feature));
    return OkStatus();
  }

  Status ReadDefault(const FileTensor* tensor, Feature& feature) {
    // An empty one means that the feature must be there.
    if (tensor == nullptr || std::ranges::find(tensor->dims, 0) != tensor->dims.end()) return OkStatus();
    feature.has_default = true;
    const bool same_type = TensorOf(op_.outputs[feature.values])->type == tensor->type;
    bool fits = same_type && tensor->constant.size() == feature.count * DTypeSize(feature.dtype);
    if (same_type && feature.dtype == DType::kString) {
      TFLS_RETURN_IF_ERROR(ReadTexts(static_cast<int32_t>(tensor - subgraph_.tensors.data()), feature.default_texts));
      fits = feature.default_texts.size() == feature.count;
    } else if (fits) {
      TFLS_RETURN_IF_ERROR(CountConstant(*tensor));
      feature.default_numbers.assign(reinterpret_cast<const char*>(tensor->constant.data()), tensor->constant.size());
    }
    return fits ? OkStatus() : Refuse(fmt::format("the default of feature \"{}\" is not {} constants of its type", feature.name, feature.count));
  }

  const std::string_view where_;
  const FileSubgraph& subgraph_;
  const FileOperator& op_;
  std::vector<std::string> keys_[kNumKeys];
  size_t first_default_ = 0;
  size_t dense_bytes_ = 0;     // of one Example
  size_t constant_bytes_ = 0;  // CountConstant
  ExampleOperator result_;
};

bool ExampleOperator::Is(const FileOperator& op) {
  return op.code == kCustomOperator && (op.custom_name == kFirstVersion || op.custom_name == kSecondVersion);
}

StatusOr<ExampleOperator> ExampleOperator::Read(std::string_view where, const FileSubgraph& subgraph, const FileOperator& op) {
  return Reader(where, subgraph, op).Read();
}

Status ExampleOperator::Append(const Feature& feature, const ExampleFeature& value, Values& values) {
  if (feature.dtype == DType::kString) {
    value.ForEachBytes([&](std::string_view text) { values.texts.push_back(text); });
    return OkStatus();
  }
  const auto copy = [](std::byte*& to, auto number) { std::memcpy(std::exchange(to, to + sizeof(number)), &number, sizeof(number)); };
  if (feature.dtype == DType::kFloat) {
    std::byte* to = Grow<float>(values.numbers, value.count());
    if (to == nullptr) return NoMemory(feature.name);
    value.ForEachFloat([&](float number) { copy(to, number); });
  } else {
    std::byte* to = Grow<int64_t>(values.numbers, value.count());
    if (to == nullptr) return NoMemory(feature.name);
    value.ForEachInt64([&](int64_t number) { copy(to, number); });
  }
  return OkStatus();
}

Status ExampleOperator::AddDefault(const Feature& feature, size_t index, Column& column, size_t& room) {
  if (!feature.has_default) {
    return InvalidArgumentError(fmt::format("Name: <unknown>, Feature: {} (data type: {}) is required but could not be found. Index: {}.",
                                            feature.name, DTypeName(feature.dtype), index));
  }
  for (const std::string& text : feature.default_texts) {
    TFLS_RETURN_IF_ERROR(Spend(feature.name, text.size(), 1, room));
    column.values.texts.emplace_back(text);
  }
  std::byte* to = Grow<char>(column.values.numbers, feature.default_numbers.size());
  if (to == nullptr && !feature.default_numbers.empty()) return NoMemory(feature.name);
  if (to != nullptr) std::memcpy(to, feature.default_numbers.data(), feature.default_numbers.size());
  return OkStatus();
}

Status ExampleOperator::Add(const Feature& feature, const ExampleFeature* value, size_t index, Column& column, size_t& room) {
  const bool is_dense = feature.form == Form::kDense;
  const bool is_absent = value == nullptr || value->kind() == FeatureKind::kNone;
  if (is_absent && is_dense) return AddDefault(feature, index, column, room);
  const size_t count = is_absent ? 0 : value->count();
  if (!is_absent) {
    const auto fail = [&](std::string_view reason) {
      return InvalidArgumentError(fmt::format("Name: <unknown>, Key: {}, Index: {}.  {}", feature.name, index, reason));
    };
    if (value->kind() != KindOf(feature.dtype)) {
      const std::string_view expected = DTypeName(feature.dtype);
      const std::string_view actual = TypeName(value->kind());
      return fail(is_dense ? fmt::format("Data types don't match. Data type: {} but expected type: {}", actual, expected)
                           : fmt::format("Data types don't match. Expected type: {}, Actual type: {}", expected, actual));
    }
    if (is_dense && count != feature.count) {
      return fail(fmt::format("Number of {} values != expected.  Values size: {} but output shape: {}", DTypeName(feature.dtype), count,
                              feature.shape.ToString()));
    }
    // Parse has counted the dense ones.
    const size_t size = CollectedSize(feature.dtype) + (feature.form == Form::kSparse ? kIndexBytes : 0);
    if (!is_dense) TFLS_RETURN_IF_ERROR(Spend(feature.name, count, size, room));
    TFLS_RETURN_IF_ERROR(Append(feature, *value, column.values));
  }
  if (feature.form == Form::kRagged) TFLS_RETURN_IF_ERROR(Spend(feature.name, 1, sizeof(int64_t), room));
  column.num_values += count;
  column.longest = std::max(column.longest, static_cast<int64_t>(count));
  if (feature.form == Form::kRagged) column.splits.push_back(static_cast<int64_t>(column.num_values));
  if (feature.form == Form::kSparse) {
    for (size_t i = 0; i < count; ++i) column.indices.insert(column.indices.end(), {static_cast<int64_t>(index), static_cast<int64_t>(i)});
  }
  return OkStatus();
}

Status ExampleOperator::Finish(const Feature& feature, size_t num_examples, Column column, std::vector<Tensor>& outputs) {
  const auto n = static_cast<int64_t>(num_examples);
  Shape shape;
  if (feature.form == Form::kDense) {
    shape = Shape({n});
    for (const int64_t dim : feature.shape.dims()) {
      if (!shape.Append(dim)) return InternalError(fmt::format("feature \"{}\" has too many dimensions", feature.name));
    }
  } else {
    // The row too many.
    shape = Shape({static_cast<int64_t>(column.num_values) + 1});
    const size_t size = DTypeSize(feature.dtype);
    std::byte* to = Grow<char>(column.values.numbers, size);
    if (to == nullptr && size > 0) return NoMemory(feature.name);
    if (to != nullptr) std::memset(to, 0, size);
    const auto& partition = feature.form == Form::kSparse ? std::vector<int64_t>{n, column.longest} : column.splits;
    TFLS_ASSIGN_OR_RETURN(outputs[feature.partition],
                          Int64Tensor(feature.partition_dtype, Shape({static_cast<int64_t>(partition.size())}), partition));
  }
  if (feature.form == Form::kSparse) {
    column.indices.insert(column.indices.end(), {0, 0});
    TFLS_ASSIGN_OR_RETURN(outputs[feature.indices], Int64Tensor(DType::kInt64, Shape({shape[0], 2}), column.indices));
  }
  const auto count = static_cast<size_t>(shape.NumElements().value_or(0));
  if (feature.dtype == DType::kString) {
    TFLS_ASSIGN_OR_RETURN(outputs[feature.values], TextTensor(shape, column.values.texts, count));
    return OkStatus();
  }
  TFLS_RETURN_IF_ERROR(TensorSizeBytes(feature.dtype, shape).status());
  outputs[feature.values] = Tensor(feature.dtype, shape, std::move(column.values.numbers));
  return OkStatus();
}

StatusOr<std::vector<Tensor>> ExampleOperator::Parse(const TensorView& serialized, size_t max_bytes) const {
  const auto num_examples = static_cast<size_t>(serialized.shape.NumElements().value_or(0));
  size_t room = max_bytes;
  // A feature left out costs the sender nothing and us its default, in each Example.
  for (const Feature& feature : features_) {
    const Shape all({static_cast<int64_t>(num_examples), static_cast<int64_t>(feature.count)});
    TFLS_RETURN_IF_ERROR(TensorSizeBytes(feature.dtype, all).status());
    TFLS_RETURN_IF_ERROR(Spend(feature.name, num_examples * feature.count, CollectedSize(feature.dtype), room));
  }
  std::vector<Column> columns(features_.size());
  ExampleReader example;
  for (size_t i = 0; i < num_examples; ++i) {
    if (const Status status = example.Parse(serialized.StringAt(static_cast<int64_t>(i))); !status.ok()) {
      return InvalidArgumentError(fmt::format("Could not parse example input, Index: {}: {}", i, status.message()));
    }
    for (size_t f = 0; f < features_.size(); ++f) {
      TFLS_RETURN_IF_ERROR(Add(features_[f], example.Find(features_[f].name), i, columns[f], room));
    }
  }
  std::vector<Tensor> outputs(num_outputs_);
  for (size_t f = 0; f < features_.size(); ++f) TFLS_RETURN_IF_ERROR(Finish(features_[f], num_examples, std::move(columns[f]), outputs));
  return outputs;
}

namespace {

// A feature in an Example's map, of `count` values that `next` gives, each serialized.
template <typename Next>
std::string FeatureEntry(std::string_view name, DType dtype, size_t count, Next next) {
  std::string list;
  for (size_t i = 0; i < count; ++i) list += dtype == DType::kString ? DelimitedField(1, next()) : next();
  if (dtype != DType::kString) list = DelimitedField(1, list);
  return DelimitedField(1, DelimitedField(1, name) + DelimitedField(2, DelimitedField(static_cast<uint32_t>(KindOf(dtype)), list)));
}

std::string RandomValue(DType dtype, std::mt19937& random) {
  if (dtype == DType::kString) return {static_cast<char>('a' + random() % 26)};
  if (dtype == DType::kInt64) return {static_cast<char>(random() & 1)};
  const float number = std::normal_distribution<float>()(random);
  return {reinterpret_cast<const char*>(&number), sizeof(number)};
}

}  // namespace

std::string ExampleOperator::SmallestExample() const {
  std::string entries;
  for (const Feature& feature : features_) {
    if (feature.form != Form::kDense || feature.has_default) continue;
    const std::string zero(feature.dtype == DType::kFloat ? sizeof(float) : feature.dtype == DType::kInt64 ? 1 : 0, '\0');
    entries += FeatureEntry(feature.name, feature.dtype, feature.count, [&]() -> const std::string& { return zero; });
  }
  return DelimitedField(1, entries);
}

std::string ExampleOperator::RandomExample(std::mt19937& random) const {
  std::string entries;
  for (const Feature& feature : features_) {
    const size_t count = feature.form == Form::kDense ? feature.count : 1 + random() % 2;
    entries += FeatureEntry(feature.name, feature.dtype, count, [&] { return RandomValue(feature.dtype, random); });
  }
  return DelimitedField(1, entries);
}

}  // namespace tflite_serving
