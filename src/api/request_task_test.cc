#include "api/request_task.h"

#include <future>
#include <thread>

#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

TEST(RequestTaskTest, InputsAreKeptUpToTheLimit) {
  for (const size_t past : {0, 1}) {
    std::vector<Tensor> inputs;
    inputs.push_back(*Tensor::Create(DType::kUint8, {static_cast<int64_t>(kMaxKeptInputBytes - 1)}));
    inputs.push_back(*Tensor::Create(DType::kUint8, {static_cast<int64_t>(1 + past)}));
    FreeLargeInputs(inputs);
    EXPECT_EQ(inputs.size(), past == 0 ? 2u : 0u);
  }
}

TEST(RequestTaskTest, SwitchesAreOnOrOff) {
  for (const char* on : {"1", "true"}) EXPECT_TRUE(*ParseSwitch("dequantize", on)) << on;
  for (const char* off : {"", "0", "false"}) EXPECT_FALSE(*ParseSwitch("dequantize", off)) << off;
  EXPECT_EQ(ParseSwitch("dequantize", "yes").status(), InvalidArgumentError("dequantize: expected 1 or 0, got \"yes\""));
}

TEST(RequestTaskTest, WorkIsDoneHereOrOnAWorker) {
  RequestRecord record;
  WorkerPool workers("worker", 1, 1);
  for (const bool here : {true, false}) {
    std::promise<std::thread::id> ran_on;
    ASSERT_TRUE(RunHereOrOnWorker(here, workers, "m", &record, [&] { ran_on.set_value(std::this_thread::get_id()); }).ok());
    EXPECT_EQ(ran_on.get_future().get() == std::this_thread::get_id(), here);
  }
}

}  // namespace
}  // namespace tflite_serving
