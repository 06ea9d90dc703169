#include "config/batching_parameters_file.h"

#include "config/proto_text.h"
#include "tensorflow_serving/servables/tensorflow/session_bundle_config.pb.h"

namespace tflite_serving {
namespace {

namespace proto = tensorflow::serving;

constexpr std::string_view kExample = "max_batch_size { value: 32 } batch_timeout_micros { value: 1000 } allowed_batch_sizes: [8, 32]";

StatusOr<BatchingParameters> FromProto(const proto::BatchingParameters& given) {
  BatchingParameters parameters;
  if (given.has_max_batch_size()) parameters.max_batch_size = given.max_batch_size().value();
  if (given.has_batch_timeout_micros()) parameters.batch_timeout_micros = given.batch_timeout_micros().value();
  if (given.has_max_enqueued_batches()) parameters.max_enqueued_batches = given.max_enqueued_batches().value();
  parameters.allowed_batch_sizes.assign(given.allowed_batch_sizes().begin(), given.allowed_batch_sizes().end());
  parameters.pad_variable_length_inputs = given.pad_variable_length_inputs();
  parameters.pad_value = given.pad_value();
  parameters.enable_large_batch_splitting = given.enable_large_batch_splitting().value();
  parameters.max_execution_batch_size = given.max_execution_batch_size().value();
  parameters.num_batch_threads = given.num_batch_threads().value();
  if (given.has_thread_pool_name()) parameters.thread_pool_name = given.thread_pool_name().value();

  // Only where nothing is said does 0 stand for the server's choice.
  if (given.has_num_batch_threads() && parameters.num_batch_threads == 0) return InvalidArgumentError("num_batch_threads must be positive; was 0");
  if (given.has_max_execution_batch_size() && parameters.max_execution_batch_size == 0) {
    return InvalidArgumentError("max_execution_batch_size must be positive; was 0");
  }
  if (parameters.max_enqueued_batches == 0 && !parameters.enable_large_batch_splitting) parameters.max_enqueued_batches = 1;
  TFLS_RETURN_IF_ERROR(Check(parameters));
  return parameters;
}

}  // namespace

StatusOr<BatchingParameters> ParseBatchingParametersText(std::string_view text, std::string_view file_name) {
  proto::BatchingParameters given;
  if (const Status status = ParseProtoText(text, kExample, given); !status.ok()) return InvalidProtoTextFile(file_name, status.message());
  StatusOr<BatchingParameters> parameters = FromProto(given);
  if (!parameters.ok()) return AddFileName(parameters.status(), file_name);
  return parameters;
}

StatusOr<BatchingParameters> ReadBatchingParametersFile(const std::string& path) {
  TFLS_ASSIGN_OR_RETURN(const std::string text, ReadProtoTextFile(path, kMaxBatchingParametersBytes));
  return ParseBatchingParametersText(text, path);
}

}  // namespace tflite_serving
