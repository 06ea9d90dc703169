#include "api/request_sampler.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/prediction_log.h"
#include "base/temporary_directory.h"
#include "codec/tfrecord.h"
#include "servable/fake_servable.h"

namespace tflite_serving {
namespace {

using tensorflow::serving::PredictionLog;
using ::testing::ElementsAre;

class RequestSamplerTest : public testing::Test {
 protected:
  void Start(const RequestSampler::Options& options, double rate = 1) {
    sampler_.emplace(options);
    sampler_->Configure(std::vector{ModelConfig{.name = "m", .base_path = "/m", .request_log = RequestLogConfig{prefix_, rate}},
                                    ModelConfig{.name = "silent", .base_path = "/m"}});
  }
  // Logs a request whose signature is called so.
  void Log(const std::string& signature) {
    PredictionLog log;
    log.mutable_log_metadata()->mutable_model_spec()->set_signature_name(signature);
    sampler_->Log(sampler_->Choose("m"), std::move(log));
  }
  // The signatures of the requests in one of the files, once all are written.
  std::vector<std::string> Written(const std::string& file) {
    std::ifstream stream(directory_.path() + "/" + file, std::ios::binary);
    TfRecordReader reader(stream);
    std::vector<std::string> names;
    for (std::string record; *reader.Next(record);) {
      PredictionLog log;
      EXPECT_TRUE(log.ParseFromString(record));
      EXPECT_GT(log.log_metadata().timestamp_secs(), 1'700'000'000);
      EXPECT_EQ(log.log_metadata().sampling_config().sampling_rate(), 1);
      names.push_back(log.log_metadata().model_spec().signature_name());
    }
    return names;
  }

  TemporaryDirectory directory_;
  const std::string prefix_ = directory_.path() + "/m";
  std::optional<RequestSampler> sampler_;
};

TEST_F(RequestSamplerTest, FilesAreRotatedAndTheLastIsDropped) {
  directory_.Write("m.tfrecord", "of the run before");
  Start({.max_file_bytes = 60, .max_files = 3});  // full with two of about 40 bytes
  for (const char* name : {"1", "2", "3", "4", "5", "6", "7"}) Log(name);
  sampler_.reset();
  EXPECT_THAT(Written("m.tfrecord"), ElementsAre("7"));
  EXPECT_THAT(Written("m.1.tfrecord"), ElementsAre("5", "6"));
  EXPECT_THAT(Written("m.2.tfrecord"), ElementsAre("3", "4"));
  EXPECT_FALSE(std::filesystem::exists(prefix_ + ".3.tfrecord"));
}

TEST_F(RequestSamplerTest, WhatIsThereAtTheStartIsKept) {
  directory_.Write("m.tfrecord", "of the run before");
  Start({});
  Log("a");
  sampler_.reset();
  EXPECT_THAT(Written("m.tfrecord"), ElementsAre("a"));
  EXPECT_EQ(std::filesystem::file_size(prefix_ + ".1.tfrecord"), 17u);
}

TEST_F(RequestSamplerTest, OfModelsThatAreLoggedAtTheirRate) {
  Start({}, 0);
  EXPECT_EQ(sampler_->Choose("m"), nullptr);
  Start({}, 0.25);
  int chosen = 0;
  for (int i = 0; i < 10000; ++i) chosen += sampler_->Choose("m") != nullptr ? 1 : 0;
  EXPECT_GT(chosen, 2000);  // of 2500; less by chance once in 10^30
  EXPECT_LT(chosen, 3000);
  EXPECT_EQ(sampler_->Choose("silent"), nullptr);
  EXPECT_EQ(sampler_->Choose("none"), nullptr);
  sampler_->Configure({});
  EXPECT_EQ(sampler_->Choose("m"), nullptr);
}

TEST_F(RequestSamplerTest, WhatDoesNotFitIsDropped) {
  Start({.max_waiting_bytes = 10});
  Log("a");
  EXPECT_EQ(sampler_->counts().dropped, 1u);
}

TEST_F(RequestSamplerTest, ADirectoryThatIsNotThereFailsAndIsSaidOnce) {
  sampler_.emplace(RequestSampler::Options{});
  sampler_->Configure(std::vector{ModelConfig{.name = "m", .base_path = "/m", .request_log = RequestLogConfig{prefix_ + "/none/m", 1}}});
  testing::internal::CaptureStderr();
  Log("a");
  Log("b");
  while (sampler_->counts().failed < 2) std::this_thread::yield();
  sampler_.reset();
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::ranges::count(log, '\n'), 1) << log;
  EXPECT_THAT(log, testing::HasSubstr("/none/m.tfrecord: No such file or directory"));
}

TEST(PredictionLogTest, ARunAsItsMessages) {
  const std::vector<float> numbers = {1, 2};
  const Signature signature = IdentitySignature(DType::kFloat, {-1});
  const std::vector<TensorView> tensors = {{DType::kFloat, {2}, std::as_bytes(std::span(numbers))}};
  const auto log = PredictLogOf({"m", 3}, signature, tensors, tensors);
  ASSERT_TRUE(log.ok());
  const tensorflow::serving::PredictLog& predict = log->predict_log();
  EXPECT_EQ(predict.request().model_spec().name(), "m");
  EXPECT_EQ(predict.request().model_spec().version().value(), 3);
  EXPECT_THAT(predict.request().inputs().at("x").float_val(), ElementsAre(1, 2));
  EXPECT_THAT(predict.response().outputs().at("y").float_val(), ElementsAre(1, 2));
}

}  // namespace
}  // namespace tflite_serving
