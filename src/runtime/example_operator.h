// TensorFlow's ParseExample and ParseExampleV2: serialized tf.Examples in, tensors out.
//
// The converter leaves them in a .tflite file as custom operators, which LiteRT has none of. Its hook for custom operators cannot carry these: it
// wants their outputs' shapes before the data is there, which sparse and ragged outputs do not have. So the operator is taken out of the graph
// (graph_edit.h), what it made becomes an input, and this parses the Examples before each run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "example/example_reader.h"
#include "runtime/tflite_file.h"
#include "tensor/tensor.h"

namespace tflite_serving {

// Immutable once read, so thread-safe.
class ExampleOperator {
 public:
  static bool Is(const FileOperator& op);

  // Reads one from the graph that it stands in: its features' names and defaults are constants there, their types and shapes those of its outputs.
  // UNIMPLEMENTED, naming the feature or tensor, for what cannot be parsed beforehand. `where` is for messages: which operator of which graph.
  static StatusOr<ExampleOperator> Read(std::string_view where, const FileSubgraph& subgraph, const FileOperator& op);

  size_t num_outputs() const { return num_outputs_; }
  // Whether an output has as many rows as the Examples have values, perhaps none. The runtime takes no tensor without rows as an input; so these get
  // a row more than they should, of zeros, which the graph cuts off again.
  bool HasRowTooMany(size_t output) const { return row_too_many_[output]; }

  // Parses `serialized`, strings of shape [n] with n > 0, into one tensor for each output. The errors are TensorFlow's, all INVALID_ARGUMENT:
  // `Name: <unknown>, Feature: age (data type: float) is required but could not be found.`
  // RESOURCE_EXHAUSTED, before it is taken, for what needs more than `max_bytes` for all values (an int64 of one byte takes 24 of a sparse tensor).
  StatusOr<std::vector<Tensor>> Parse(const TensorView& serialized, size_t max_bytes = kMaxTensorBytes) const;

  // The smallest Example that can be parsed: its required features alone, all zero.
  std::string SmallestExample() const;
  // One with all features, and random values as RandomInputs makes them (sample_inputs.h); one or two of a feature of variable length.
  std::string RandomExample(std::mt19937& random) const;

 private:
  // Numbers as they lie in memory, or texts.
  struct Values {
    AlignedBuffer numbers;
    std::vector<std::string_view> texts;
  };
  enum class Form : uint8_t { kDense, kSparse, kRagged };
  struct Feature {
    Form form = Form::kDense;
    std::string name;
    DType dtype = DType::kInvalid;
    // Of dense ones: the shape for each Example, how many values that is, and what stands for an absent feature.
    Shape shape;
    size_t count = 0;
    bool has_default = false;
    std::string default_numbers;
    std::vector<std::string> default_texts;
    // Positions in the operator's outputs. Of sparse ones `partition` is the dense shape, of ragged ones the row splits.
    size_t values = 0;
    size_t indices = 0;
    size_t partition = 0;
    DType partition_dtype = DType::kInt64;
  };
  // What was read of one feature so far.
  struct Column {
    Values values;
    size_t num_values = 0;
    std::vector<int64_t> indices;
    std::vector<int64_t> splits{0};
    int64_t longest = 0;
  };
  class Reader;

  ExampleOperator() = default;
  // `room`: how many bytes all columns may still take.
  static Status Add(const Feature& feature, const ExampleFeature* value, size_t index, Column& column, size_t& room);
  static Status AddDefault(const Feature& feature, size_t index, Column& column, size_t& room);
  static Status Append(const Feature& feature, const ExampleFeature& value, Values& values);
  static Status Finish(const Feature& feature, size_t num_examples, Column column, std::vector<Tensor>& outputs);

  size_t num_outputs_ = 0;
  std::vector<bool> row_too_many_;
  std::vector<Feature> features_;
};

}  // namespace tflite_serving
