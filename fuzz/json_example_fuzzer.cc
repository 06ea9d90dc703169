// The classify and regress decoder against any bytes, and what it made of them against the decoder of dense inputs.
//
// What must hold: a request that is accepted is well-formed JSON, and each of its examples a sound tf.Example; a fault, if there is one, is never an
// internal one; asked again with the memory of the first time, the answer is the same; tensors made of the examples are sound, and pass their check.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "codec/json_examples.h"
#include "codec/json_reader.h"
#include "codec/padded_document.h"
#include "example/example_reader.h"
#include "serving/example_inputs.h"

namespace tflite_serving {
namespace {

void Require(bool holds, const char* what, std::string_view detail = {}) {
  if (holds) return;
  std::fprintf(stderr, "%s %.*s\n", what, static_cast<int>(detail.size()), detail.data());
  std::abort();
}

// Inputs that the examples of the corpus have features for.
const std::vector<Signature>& Signatures() {
  static const auto* const signatures = new std::vector<Signature>{
      {.key = "serialized", .inputs = {{.name = "inputs", .dtype = DType::kString, .shape = {-1}}}},
      {.key = "numbers", .inputs = {{.name = "f", .dtype = DType::kFloat, .shape = {-1, 2}}, {.name = "i", .dtype = DType::kInt32, .shape = {-1}}}},
      {.key = "text", .inputs = {{.name = "s", .dtype = DType::kString, .shape = {-1, -1}}}},
      {.key = "quantized", .inputs = {{.name = "f", .dtype = DType::kInt8, .shape = {-1, -1}, .quantization = Quantization{0.5F, -3}}}},
      {.key = "half", .inputs = {{.name = "f", .dtype = DType::kHalf, .shape = {-1, 2}}}},
      {.key = "bool", .inputs = {{.name = "i", .dtype = DType::kBool, .shape = {-1, -1}}}}};
  return *signatures;
}

void RequireSoundInputs(const SerializedExamples& examples) {
  for (const Signature& signature : Signatures()) {
    std::vector<Tensor> inputs;
    const Status made = ExamplesToInputs(signature, examples, inputs);
    Require(made.ok() || made.code() == StatusCode::kInvalidArgument || made.code() == StatusCode::kResourceExhausted, "inputs:", made.message());
    if (!made.ok()) continue;
    std::vector<TensorView> views;
    for (const Tensor& input : inputs) views.push_back(input.view());
    const Status checked = CheckInputs(signature, views);
    Require(checked.ok(), "inputs that do not fit:", checked.message());
  }
}

void Run(std::string_view body) {
  PaddedDocument document(body);
  std::string signature_name;
  SerializedExamples examples;
  const Status status = DecodeJsonExamples(document.body(), signature_name, examples);
  Require(document.text() == body, "the body was changed");
  Require(status == DecodeJsonExamples(document.body(), signature_name, examples), "another answer to the same body");
  if (!status.ok()) {
    Require(status.code() == StatusCode::kInvalidArgument || status.code() == StatusCode::kResourceExhausted, "refused:", status.message());
    return;
  }
  JsonReader json(document.text());
  Require(json.EnterDocument() && json.SkipValue(), "accepted, but no JSON");
  Require(examples.size() > 0, "accepted without an example");
  ExampleReader example;
  for (size_t i = 0; i < examples.size(); ++i) {
    const Status parsed = example.Parse(examples[i]);
    Require(parsed.ok() || examples[i].size() > ExampleReader::kMaxFeatures, "malformed example:", parsed.message());
  }
  RequireSoundInputs(examples);
}

}  // namespace
}  // namespace tflite_serving

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tflite_serving::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
