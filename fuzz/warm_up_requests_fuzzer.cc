// A file of warm-up requests: whatever the bytes are, replaying them ends with a status, and every run has what its signature asks for. The first
// byte says what the rest is: the file as it is, or the data of its only record, since no fuzzer finds a checksum.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <string>

#include "api/warm_up_requests.h"
#include "codec/tfrecord_writer.h"
#include "servable/fake_servable.h"
#include "telemetry/log.h"

namespace {

using tflite_serving::DType;
using tflite_serving::FakeServable;
using tflite_serving::IdentitySignature;
using tflite_serving::RunDone;
using tflite_serving::RunRequest;
using tflite_serving::TfRecord;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tflite_serving::SetLogLevel(tflite_serving::LogLevel::kError);  // every file that was read is a line
  if (size == 0) return 0;
  const std::string rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::istringstream file((data[0] & 1) != 0 ? TfRecord(rest) : rest);
  FakeServable servable({"m", 1}, {IdentitySignature(DType::kFloat, {-1, 1})});
  servable.on_run = [](const RunRequest& request, const RunDone& done) {
    if (request.inputs.size() != 1 || request.inputs[0].dtype != DType::kFloat || request.inputs[0].shape.rank() != 2) std::abort();
    done(tflite_serving::OkStatus(), request.inputs);
  };
  (void)tflite_serving::ReplayWarmupRequests(servable, file, "f", 1, {});
  return 0;
}
