// What comes from a custom servable, as any bytes: a worker's reply, and the JSON that its user's code answers with. What must hold: what is accepted
// is what it says to be, and an answer that became tensors becomes the same ones when it is written and read again.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "codec/json_bridge.h"
#include "custom/worker_protocol.h"
#include "tensor/tensor.h"

namespace tflite_serving {
namespace {

void Require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

void ReadReply(std::span<const std::byte> frame) {
  const StatusOr<WorkerReply> reply = ParseWorkerReply(frame);
  if (!reply.ok()) return Require(reply.status().code() == StatusCode::kInternal, "a refusal blames the worker");
  if (const auto* error = std::get_if<WorkerError>(&*reply)) Require(!error->status.ok(), "an error is one");
  if (const auto* result = std::get_if<WorkerResult>(&*reply)) {
    for (const ArenaTensor& tensor : result->outputs) Require(tensor.dtype != DType::kInvalid, "a tensor has a type");
  }
}

void ReadAnswer(std::string_view text) {
  ErrorOfJsonAnswer(text);
  const StatusOr<JsonAnswerTensors> answer = ReadJsonAnswer(text);
  if (!answer.ok()) return Require(answer.status().code() == StatusCode::kInternal, "a refusal blames the servable");
  Require(answer->outputs.size() == answer->signature.outputs.size() && !answer->outputs.empty(), "each output has its tensor");
  std::vector<NamedTensor> named;
  for (size_t i = 0; i < answer->outputs.size(); ++i) {
    const TensorView view = answer->outputs[i].view();
    Require(view.dtype == answer->signature.outputs[i].dtype, "a tensor has the type that was seen");
    named.push_back({answer->signature.outputs[i].name, view});
  }
  std::string json;
  Require(WriteJsonRequest("", named, json).ok(), "what was read can be written");
}

}  // namespace
}  // namespace tflite_serving

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tflite_serving::ReadReply(std::as_bytes(std::span(data, size)));
  tflite_serving::ReadAnswer({reinterpret_cast<const char*>(data), size});
  return 0;
}
