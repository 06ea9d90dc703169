#include "api/model_service.h"

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/fake_calls.h"
#include "api/request_task.h"
#include "base/thread.h"
#include "servable/fake_servable.h"
#include "servable/fake_servable_source.h"
#include "servable/model_config.h"
#include "tensorflow_serving/apis/get_model_status.pb.h"
#include "tensorflow_serving/apis/model_management.pb.h"

namespace tflite_serving {
namespace {

using tensorflow::serving::GetModelStatusRequest;
using tensorflow::serving::GetModelStatusResponse;
using tensorflow::serving::ReloadConfigRequest;
using tensorflow::serving::ReloadConfigResponse;
using ::testing::HasSubstr;

constexpr const char* kNotAList = "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently supported";

// A service whose reload keeps what it was asked for and ends when the test says so.
class ModelServiceTest : public testing::Test {
 protected:
  ModelServiceTest()
      : service_(
            servables_, workers_,
            [this](const tensorflow::serving::ModelServerConfig& config, std::function<void(const Status&)> done) {
              names_.emplace();
              for (const auto& model : config.model_config_list().config()) names_->push_back(model.name());
              thread_ = std::this_thread::get_id();
              done_ = std::move(done);
              called_.set_value();
            },
            [this](const std::vector<std::string>& names) {
              std::vector<std::optional<int64_t>> values;
              for (const std::string& name : names)
                values.push_back(name == "/tensorflow/core/graph_runs" ? std::optional(++counter_) : std::nullopt);
              return values;
            }) {}

  Status GetStatus(const GetModelStatusRequest& request, GetModelStatusResponse& response) {
    FakeGrpcCall call(request.SerializeAsString());
    service_.methods()[0].handler(call);
    const Status status = call.Wait();
    EXPECT_TRUE(!status.ok() || response.ParseFromString(call.reply()));
    return status;
  }
  void Reload(FakeGrpcCall& call) { service_.methods()[1].handler(call); }
  void WaitForReload() { called_.get_future().wait(); }

  const FakeServableSource servables_{{std::make_shared<FakeServable>(ServableId{"m", 3}, std::vector<Signature>())}};
  WorkerPool workers_{"worker", 1, 1};
  std::optional<std::vector<std::string>> names_;  // of the models asked for
  std::thread::id thread_;
  int64_t counter_ = 7;
  std::function<void(const Status&)> done_;
  std::promise<void> called_;
  ModelService service_;
};

TEST_F(ModelServiceTest, GetModelStatus) {
  GetModelStatusRequest request;
  GetModelStatusResponse response;
  EXPECT_EQ(GetStatus(request, response), InvalidArgumentError("Missing ModelSpec"));
  request.mutable_model_spec()->set_name("m");
  ASSERT_TRUE(GetStatus(request, response).ok());
  ASSERT_EQ(response.model_version_status_size(), 1);
  EXPECT_EQ(response.model_version_status(0).version(), 3);
  EXPECT_EQ(response.model_version_status(0).state(), tensorflow::serving::ModelVersionStatus::AVAILABLE);
  request.mutable_model_spec()->mutable_version()->set_value(9);
  EXPECT_EQ(GetStatus(request, response), NotFoundError("Could not find version 9 of model m"));
  request.mutable_model_spec()->set_name("none");
  EXPECT_EQ(GetStatus(request, response), NotFoundError("Could not find any versions of model none"));
}

std::string OneModel(const std::string& name) {
  ReloadConfigRequest request;
  request.mutable_config()->mutable_model_config_list()->add_config()->set_name(name);
  return request.SerializeAsString();
}

TEST_F(ModelServiceTest, TheReplyComesWhenTheReloadIsDone) {
  FakeGrpcCall call(OneModel("digits"));
  Reload(call);
  EXPECT_EQ(names_, std::vector<std::string>{"digits"});
  EXPECT_EQ(thread_, std::this_thread::get_id());
  std::jthread other = StartThread("reload", [&] { done_(OkStatus()); });
  EXPECT_EQ(call.Wait(), OkStatus());
  ReloadConfigResponse response;
  ASSERT_TRUE(response.ParseFromString(call.reply()));
  EXPECT_TRUE(response.has_status());
  EXPECT_EQ(response.status().error_code(), tensorflow::error::OK);
  EXPECT_EQ(response.metric_size(), 0);
}

TEST_F(ModelServiceTest, TheReplyTellsTheIncreaseOfCounters) {
  ReloadConfigRequest request;
  request.mutable_config()->mutable_model_config_list()->add_config()->set_name("digits");
  request.add_metric_names("/tensorflow/no/such");
  request.add_metric_names("/tensorflow/core/graph_runs");
  FakeGrpcCall call(request.SerializeAsString());
  Reload(call);
  counter_ = 20;
  done_(OkStatus());
  EXPECT_EQ(call.Wait(), OkStatus());
  ReloadConfigResponse response;
  ASSERT_TRUE(response.ParseFromString(call.reply()));
  ASSERT_EQ(response.metric_size(), 1);
  EXPECT_EQ(response.metric(0).name(), "/tensorflow/core/graph_runs");
  EXPECT_EQ(response.metric(0).int64_value_increase(), 13);
}

TEST_F(ModelServiceTest, AFailureIsTheStatusOfTheCall) {
  FakeGrpcCall call(OneModel("digits"));
  Reload(call);
  testing::internal::CaptureStderr();
  done_(FailedPreconditionError("a label"));
  EXPECT_EQ(call.Wait(), FailedPreconditionError("a label"));
  EXPECT_EQ(call.reply(), "");
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("ReloadConfig failed: FAILED_PRECONDITION: a label"));
}

TEST_F(ModelServiceTest, AnEmptyListIsAList) {
  ReloadConfigRequest request;
  request.mutable_config()->mutable_model_config_list();
  FakeGrpcCall call(request.SerializeAsString());
  Reload(call);
  EXPECT_EQ(names_, std::vector<std::string>());
  done_(OkStatus());
  EXPECT_EQ(call.Wait(), OkStatus());
}

TEST_F(ModelServiceTest, WhatIsNoListIsRefused) {
  ReloadConfigRequest other_source;
  other_source.mutable_config()->mutable_custom_model_config();
  ReloadConfigRequest nothing;
  nothing.mutable_config();
  for (const std::string& request : {other_source.SerializeAsString(), nothing.SerializeAsString(), std::string()}) {
    FakeGrpcCall call(request);
    Reload(call);
    EXPECT_EQ(call.Wait(), InvalidArgumentError(kNotAList));
  }
  FakeGrpcCall call("\xff");
  Reload(call);
  EXPECT_EQ(call.Wait(), InvalidArgumentError("the request is not a valid tensorflow.serving.ReloadConfigRequest"));
  EXPECT_EQ(names_, std::nullopt);
}

TEST_F(ModelServiceTest, ALargeRequestIsReadOnAWorker) {
  ReloadConfigRequest request;
  request.ParseFromString(OneModel("digits"));
  request.add_metric_names(std::string(kMaxInlineBodyBytes, 'x'));
  FakeGrpcCall call(request.SerializeAsString());
  Reload(call);
  WaitForReload();
  EXPECT_NE(thread_, std::this_thread::get_id());
  done_(OkStatus());
  EXPECT_EQ(call.Wait(), OkStatus());
}

TEST_F(ModelServiceTest, ALargerRequestIsNotRead) {
  for (const bool fits : {true, false}) {
    ReloadConfigRequest request;
    request.ParseFromString(OneModel("digits"));
    request.add_metric_names(std::string(kMaxModelServerConfigBytes, 'x'));
    const size_t spare = request.ByteSizeLong() - kMaxModelServerConfigBytes;
    request.mutable_metric_names(0)->resize(kMaxModelServerConfigBytes - spare + (fits ? 0 : 1));
    FakeGrpcCall call(request.SerializeAsString());
    Reload(call);
    if (fits) {
      WaitForReload();
      done_(OkStatus());
    }
    EXPECT_EQ(call.Wait(),
              fits ? OkStatus() : ResourceExhaustedError("a tensorflow.serving.ReloadConfigRequest of 4194305 bytes, and the limit is 4194304"));
  }
}

TEST_F(ModelServiceTest, LibprotobufLogsNothingOfARequest) {
  GetModelStatusRequest request;
  request.mutable_model_spec()->set_name("ab");
  std::string bytes = request.SerializeAsString();
  bytes.replace(bytes.find("ab"), 2, "\xff\xff");
  FakeGrpcCall call(bytes);
  testing::internal::CaptureStderr();
  service_.methods()[0].handler(call);
  EXPECT_EQ(call.Wait(), InvalidArgumentError("the request is not a valid tensorflow.serving.GetModelStatusRequest"));
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace tflite_serving
