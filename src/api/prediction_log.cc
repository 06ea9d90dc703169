#include "api/prediction_log.h"

#include <string>
#include <variant>

#include "codec/tensor_proto_encoder.h"

namespace tflite_serving {
namespace {

using tensorflow::serving::PredictionLog;

void FillSpec(const ServableId& servable, const Signature& signature, tensorflow::serving::ModelSpec& spec) {
  spec.set_name(servable.name);
  spec.mutable_version()->set_value(servable.version);
  spec.set_signature_name(signature.key);
}

template <typename Map>
Status FillTensors(std::span<const TensorSpec> specs, std::span<const TensorView> tensors, Map& map) {
  for (size_t i = 0; i < specs.size(); ++i) {
    TFLS_ASSIGN_OR_RETURN(const TensorProtoEncoder encoder, TensorProtoEncoder::Create(tensors[i], false));
    std::string bytes(encoder.size(), '\0');
    MessageWriter writer(std::as_writable_bytes(std::span(bytes)));
    encoder.Write(writer);
    if (!map[specs[i].name].ParseFromString(bytes)) return InternalError("a tensor cannot be read that was just written");
  }
  return OkStatus();
}

Status FillExamples(const SerializedExamples& examples, tensorflow::serving::Input& input) {
  for (size_t i = 0; i < examples.size(); ++i) {
    const std::string_view example = examples[i];
    if (input.mutable_example_list()->add_examples()->ParseFromArray(example.data(), static_cast<int>(example.size()))) continue;
    return DataLossError("an example is no tensorflow.Example");
  }
  return OkStatus();
}

void FillResult(const Classifications& classifications, tensorflow::serving::ClassificationResult& out) {
  for (size_t i = 0; i < classifications.num_examples; ++i) {
    tensorflow::serving::Classifications& row = *out.add_classifications();
    for (size_t c = 0; c < classifications.classes_per_example; ++c) {
      const ClassScore& from = classifications.classes[i * classifications.classes_per_example + c];
      tensorflow::serving::Class& to = *row.add_classes();
      to.set_label(from.label.data(), from.label.size());
      to.set_score(from.score);
    }
  }
}

void FillResult(const Regressions& regressions, tensorflow::serving::RegressionResult& out) {
  for (const float value : regressions.values) out.add_regressions()->set_value(value);
}

}  // namespace

void FillResult(const InferenceResult& result, tensorflow::serving::InferenceResult& out) {
  if (const auto* classifications = std::get_if<Classifications>(&result)) {
    FillResult(*classifications, *out.mutable_classification_result());
  } else {
    FillResult(std::get<Regressions>(result), *out.mutable_regression_result());
  }
}

StatusOr<PredictionLog> PredictLogOf(const ServableId& servable, const Signature& signature, std::span<const TensorView> inputs,
                                     std::span<const TensorView> outputs) {
  PredictionLog log;
  FillSpec(servable, signature, *log.mutable_log_metadata()->mutable_model_spec());
  tensorflow::serving::PredictLog& predict = *log.mutable_predict_log();
  *predict.mutable_request()->mutable_model_spec() = *predict.mutable_response()->mutable_model_spec() = log.log_metadata().model_spec();
  TFLS_RETURN_IF_ERROR(FillTensors(signature.inputs, inputs, *predict.mutable_request()->mutable_inputs()));
  TFLS_RETURN_IF_ERROR(FillTensors(signature.outputs, outputs, *predict.mutable_response()->mutable_outputs()));
  return log;
}

StatusOr<PredictionLog> InferLogOf(const ServableId& servable, const Signature& signature, const SerializedExamples& examples,
                                   const InferenceResult& result) {
  PredictionLog log;
  FillSpec(servable, signature, *log.mutable_log_metadata()->mutable_model_spec());
  const auto fill = [&](auto& its_log) {
    *its_log.mutable_request()->mutable_model_spec() = *its_log.mutable_response()->mutable_model_spec() = log.log_metadata().model_spec();
    return FillExamples(examples, *its_log.mutable_request()->mutable_input());
  };
  if (const auto* classifications = std::get_if<Classifications>(&result)) {
    TFLS_RETURN_IF_ERROR(fill(*log.mutable_classify_log()));
    FillResult(*classifications, *log.mutable_classify_log()->mutable_response()->mutable_result());
  } else {
    TFLS_RETURN_IF_ERROR(fill(*log.mutable_regress_log()));
    FillResult(std::get<Regressions>(result), *log.mutable_regress_log()->mutable_response()->mutable_result());
  }
  return log;
}

}  // namespace tflite_serving
