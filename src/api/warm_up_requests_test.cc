#include "api/warm_up_requests.h"

#include <sstream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/temporary_directory.h"
#include "codec/tfrecord_writer.h"
#include "servable/fake_servable.h"
#include "tensorflow_serving/apis/classification.pb.h"
#include "tensorflow_serving/apis/inference.pb.h"
#include "tensorflow_serving/apis/predict.pb.h"
#include "tensorflow_serving/apis/regression.pb.h"
#include "wire/message_builder.h"

namespace tflite_serving {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::IsEmpty;
using ::testing::StartsWith;

enum LogField : uint32_t { kClassify = 2, kRegress = 3, kMultiInference = 4, kSessionRun = 5, kPredict = 6, kPredictStreamed = 7 };

Signature Named(const std::string& key) {
  Signature signature = IdentitySignature(DType::kFloat, {-1, 1});
  signature.key = key;
  return signature;
}

std::string Log(LogField field, const google::protobuf::MessageLite& request) {
  return MessageBuilder().Message(field, MessageBuilder().Delimited(1, request.SerializeAsString())).text();
}

tensorflow::serving::PredictRequest PredictOf(float value, const std::string& signature = "") {
  tensorflow::serving::PredictRequest request;
  request.mutable_model_spec()->set_name("another");
  request.mutable_model_spec()->mutable_version()->set_value(77);
  request.mutable_model_spec()->set_signature_name(signature);
  tensorflow::TensorProto& x = (*request.mutable_inputs())["x"];
  x.set_dtype(tensorflow::DT_FLOAT);
  x.mutable_tensor_shape()->add_dim()->set_size(1);
  x.mutable_tensor_shape()->add_dim()->set_size(1);
  x.add_float_val(value);
  return request;
}

void AddExample(tensorflow::serving::Input& input, float value) {
  tensorflow::Example& example = *input.mutable_example_list()->add_examples();
  (*example.mutable_features()->mutable_feature())["x"].mutable_float_list()->add_value(value);
}

class WarmUpRequestsTest : public testing::Test {
 protected:
  WarmUpRequestsTest() {
    servable_.on_run = [this](const RunRequest& request, const RunDone& done) {
      runs_.push_back(request.signature->key + fmt::format(" {}", request.inputs[0].values<float>()[0]));
      done(OkStatus(), request.inputs);
    };
  }

  Status Replay(const std::string& file, int iterations = 0) {
    std::istringstream stream(file);
    return ReplayWarmupRequests(servable_, stream, "f", iterations, stop_);
  }

  Cancellation stop_;
  FakeServable servable_{ServableId{"m", 3}, {Named("serving_default"), Named("other")}};
  std::vector<std::string> runs_;
};

TEST_F(WarmUpRequestsTest, ItMayBeGivenUp) {
  servable_.on_run = [this](const RunRequest& request, const RunDone& done) {
    runs_.emplace_back();
    stop_.Cancel();
    EXPECT_TRUE(request.cancellation->cancelled());
    done(OkStatus(), request.inputs);
  };
  EXPECT_EQ(Replay(TfRecord(Log(kPredict, PredictOf(6))), 1000), CancelledError("f: warming up was given up"));
  EXPECT_EQ(runs_.size(), 1u);
}

TEST_F(WarmUpRequestsTest, EveryKindOfRequestIsSentInOrder) {
  tensorflow::serving::ClassificationRequest classify;
  AddExample(*classify.mutable_input(), 3);
  tensorflow::serving::RegressionRequest regress;
  regress.mutable_model_spec()->set_signature_name("other");
  AddExample(*regress.mutable_input(), 4);
  tensorflow::serving::MultiInferenceRequest multi;
  for (const auto& [key, method] : {std::pair("serving_default", kClassifyMethodName), std::pair("other", kRegressMethodName)}) {
    tensorflow::serving::InferenceTask& task = *multi.add_tasks();
    task.mutable_model_spec()->set_name("another");
    task.mutable_model_spec()->set_signature_name(key);
    task.set_method_name(std::string(method));
  }
  AddExample(*multi.mutable_input(), 5);
  const Status status = Replay(TfRecord(Log(kPredict, PredictOf(1))) + TfRecord(Log(kPredict, PredictOf(2, "other"))) +
                               TfRecord(Log(kClassify, classify)) + TfRecord(Log(kRegress, regress)) + TfRecord(Log(kMultiInference, multi)));
  EXPECT_TRUE(status.ok()) << status.ToString();
  EXPECT_THAT(runs_, ElementsAre("serving_default 1", "other 2", "serving_default 3", "other 4", "serving_default 5", "other 5"));
}

TEST_F(WarmUpRequestsTest, OnAWorkerToo) {
  servable_.runs_inline = false;
  EXPECT_TRUE(Replay(TfRecord(Log(kPredict, PredictOf(1)))).ok());
  EXPECT_THAT(runs_, ElementsAre("serving_default 1"));
}

TEST_F(WarmUpRequestsTest, ARequestWithoutAModelSpecIsForThisModel) {
  tensorflow::serving::PredictRequest request = PredictOf(1);
  request.clear_model_spec();
  EXPECT_TRUE(Replay(TfRecord(Log(kPredict, request))).ok());
  EXPECT_THAT(runs_, ElementsAre("serving_default 1"));
}

TEST_F(WarmUpRequestsTest, EachAsOftenAsAsked) {
  const std::string file = TfRecord(Log(kPredict, PredictOf(1))) + TfRecord(Log(kPredict, PredictOf(2)));
  EXPECT_TRUE(Replay(file, 2).ok());
  EXPECT_THAT(runs_, ElementsAre("serving_default 1", "serving_default 1", "serving_default 2", "serving_default 2"));
  runs_.clear();
  EXPECT_TRUE(Replay(file, -1).ok());
  EXPECT_EQ(runs_.size(), 2U);
}

TEST_F(WarmUpRequestsTest, RecordsWithoutALogArePassedOver) {
  const std::string metadata = MessageBuilder().Message(1, MessageBuilder().Varint(4, 99)).text();
  const std::string newer = MessageBuilder().Message(12, MessageBuilder().Varint(1, 2)).text();
  EXPECT_TRUE(Replay(TfRecord("") + TfRecord(metadata) + TfRecord(newer)).ok());
  EXPECT_THAT(runs_, IsEmpty());
}

// As protobuf merges: the last of a oneof counts, and one message in two parts is one.
TEST_F(WarmUpRequestsTest, PartsOfALogAreMerged) {
  const std::string whole = PredictOf(2, "other").SerializeAsString();
  const auto part = [](const std::string& bytes) { return MessageBuilder().Message(kPredict, MessageBuilder().Delimited(1, bytes)).text(); };
  tensorflow::serving::PredictRequest spec;
  spec.mutable_model_spec()->set_signature_name("serving_default");
  const std::string session = MessageBuilder().Delimited(kSessionRun, "").text();
  EXPECT_TRUE(Replay(TfRecord(session + part(whole) + part(spec.SerializeAsString()))).ok());
  EXPECT_THAT(runs_, ElementsAre("serving_default 2"));
}

TEST_F(WarmUpRequestsTest, WhatCannotBeReplayedFailsTheLoad) {
  EXPECT_EQ(Replay(TfRecord(MessageBuilder().Delimited(kSessionRun, "").text())),
            UnimplementedError("f: record 0: Unsupported log_type for warmup: 5"));
  EXPECT_EQ(Replay(TfRecord(MessageBuilder().Delimited(kPredictStreamed, "").text())),
            UnimplementedError("f: record 0: Unsupported log_type for warmup: 7"));
  const Status unparsable = Replay(TfRecord("") + TfRecord("\x32\x7fshort"));
  EXPECT_EQ(unparsable.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(unparsable.message(), StartsWith("Failed to parse warmup record: f: record 1: "));
  const Status cut = Replay(TfRecord(Log(kPredict, PredictOf(1))) + "cut");
  EXPECT_EQ(cut, DataLossError("f: record 1 ends in its length. Please verify your warmup data is in TFRecord format."));
}

TEST_F(WarmUpRequestsTest, ARequestThatFailsFailsTheLoad) {
  const Status unknown = Replay(TfRecord("") + TfRecord(Log(kPredict, PredictOf(1, "none"))));
  EXPECT_EQ(unknown, FailedPreconditionError("f: record 1: Serving signature key \"none\" not found."));
  servable_.on_run = [](const RunRequest& /*request*/, const RunDone& done) { done(InternalError("broken"), {}); };
  EXPECT_EQ(Replay(TfRecord(Log(kPredict, PredictOf(1)))), InternalError("f: record 0: broken"));
}

TEST_F(WarmUpRequestsTest, AThousandRecordsAndNotOneMore) {
  std::string file;
  for (size_t i = 0; i < kMaxWarmUpRecords; ++i) file += TfRecord("");
  EXPECT_TRUE(Replay(file).ok());
  EXPECT_EQ(Replay(file + TfRecord("")), InvalidArgumentError("Number of warmup records exceeds the maximum (1000) at f"));
}

TEST_F(WarmUpRequestsTest, TheFileLiesInTheVersionsDirectory) {
  const TemporaryDirectory directory;
  EXPECT_TRUE(ReplayWarmupRequests(servable_, directory.path(), 1, stop_).ok());
  EXPECT_THAT(runs_, IsEmpty());
  const std::string path = directory.Write("assets.extra/tf_serving_warmup_requests", TfRecord(Log(kPredict, PredictOf(6))));
  EXPECT_TRUE(ReplayWarmupRequests(servable_, directory.path(), 1, stop_).ok());
  EXPECT_THAT(runs_, ElementsAre("serving_default 6"));
  EXPECT_EQ(directory.Write("assets.extra/tf_serving_warmup_requests", "this is no TFRecord file"), path);
  const Status status = ReplayWarmupRequests(servable_, directory.path(), 1, stop_);
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_THAT(status.message(), StartsWith(path + ": record 0: the checksum of its length is "));
  EXPECT_THAT(status.message(), EndsWith("Please verify your warmup data is in TFRecord format."));
}

}  // namespace
}  // namespace tflite_serving
