#include "api/reflection_service.h"

#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.pb.h>
#include <gtest/gtest.h>

#include "api/fake_calls.h"
#include "grpc/reflection/v1/reflection.pb.h"

namespace tflite_serving {
namespace {

using grpc::reflection::v1::ServerReflectionRequest;
using grpc::reflection::v1::ServerReflectionResponse;
using ::testing::Contains;
using ::testing::ElementsAre;

class ReflectionServiceTest : public testing::Test {
 protected:
  static GrpcMethod Unary(const char* path) {
    return {path, [](GrpcCall&) {}};
  }

  ServerReflectionResponse Ask(const ServerReflectionRequest& request) {
    handler_->OnMessage(request.SerializeAsString());
    ServerReflectionResponse response;
    EXPECT_FALSE(call_.sent.empty());
    EXPECT_TRUE(response.ParseFromString(call_.sent.back()));
    EXPECT_EQ(response.original_request().SerializeAsString(), request.SerializeAsString());
    EXPECT_EQ(response.valid_host(), request.host());
    return response;
  }
  static std::vector<std::string> FileNames(const ServerReflectionResponse& response) {
    std::vector<std::string> names;
    for (const std::string& bytes : response.file_descriptor_response().file_descriptor_proto()) {
      google::protobuf::FileDescriptorProto file;
      EXPECT_TRUE(file.ParseFromString(bytes));
      names.push_back(file.name());
    }
    return names;
  }

  const std::vector<GrpcMethod> methods_ = {Unary("/tensorflow.serving.PredictionService/Predict"),
                                            Unary("/tensorflow.serving.PredictionService/Classify")};
  const std::vector<GrpcStreamMethod> stream_methods_ = {{"/grpc.health.v1.Health/Watch", nullptr}};
  const ReflectionService reflection_{methods_, stream_methods_};
  FakeStreamCall call_;
  std::unique_ptr<GrpcStreamHandler> handler_ = reflection_.stream_methods()[0].open(call_);
};

TEST_F(ReflectionServiceTest, IsThereUnderBothNames) {
  EXPECT_EQ(reflection_.stream_methods()[0].path, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
  EXPECT_EQ(reflection_.stream_methods()[1].path, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo");
}

TEST_F(ReflectionServiceTest, ListsServices) {
  ServerReflectionRequest request;
  request.set_host("here");
  request.set_list_services("");
  const ServerReflectionResponse response = Ask(request);
  std::vector<std::string> names;
  for (const auto& service : response.list_services_response().service()) names.push_back(service.name());
  EXPECT_THAT(names, ElementsAre("grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection",
                                 "tensorflow.serving.PredictionService"));
}

TEST_F(ReflectionServiceTest, SendsAFileWithItsImportsAndThoseOnce) {
  ServerReflectionRequest request;
  request.set_file_containing_symbol("tensorflow.serving.PredictRequest");
  const std::vector<std::string> first = FileNames(Ask(request));
  EXPECT_EQ(first.at(0), "tensorflow_serving/apis/predict.proto");
  EXPECT_THAT(first, Contains("tensorflow/core/framework/tensor.proto"));
  EXPECT_THAT(FileNames(Ask(request)), ElementsAre("tensorflow_serving/apis/predict.proto"));
  request.set_file_by_filename("tensorflow/core/framework/tensor.proto");
  EXPECT_THAT(FileNames(Ask(request)), ElementsAre("tensorflow/core/framework/tensor.proto"));
  request.set_file_containing_symbol("tensorflow.serving.PredictionService.Predict");
  EXPECT_EQ(FileNames(Ask(request)).at(0), "tensorflow_serving/apis/prediction_service.proto");
}

TEST_F(ReflectionServiceTest, TellsOfExtensions) {
  ServerReflectionRequest request;
  request.set_all_extension_numbers_of_type("google.protobuf.FieldOptions");
  const ServerReflectionResponse response = Ask(request);
  EXPECT_EQ(response.all_extension_numbers_response().base_type_name(), "google.protobuf.FieldOptions");
  EXPECT_EQ(response.all_extension_numbers_response().extension_number().size(), 0);
}

TEST_F(ReflectionServiceTest, SaysWhatItDoesNotKnow) {
  ServerReflectionRequest request;
  request.set_file_by_filename("no.proto");
  EXPECT_EQ(Ask(request).error_response().error_message(), "File not found.");
  request.set_file_containing_symbol("no.Symbol");
  const ServerReflectionResponse symbol = Ask(request);
  EXPECT_EQ(symbol.error_response().error_message(), "Symbol not found.");
  EXPECT_EQ(symbol.error_response().error_code(), static_cast<int>(StatusCode::kNotFound));
  request.mutable_file_containing_extension()->set_containing_type("no.Type");
  EXPECT_EQ(Ask(request).error_response().error_message(), "Extension not found.");
  request.mutable_file_containing_extension()->set_containing_type("google.protobuf.FieldOptions");
  request.mutable_file_containing_extension()->set_extension_number(99'999);
  EXPECT_EQ(Ask(request).error_response().error_message(), "Extension not found.");
  request.set_all_extension_numbers_of_type("no.Type");
  EXPECT_EQ(Ask(request).error_response().error_message(), "Type not found.");
  EXPECT_EQ(Ask({}).error_response().error_code(), static_cast<int>(StatusCode::kInvalidArgument));
}

TEST_F(ReflectionServiceTest, EndsWithTheClient) {
  handler_->OnEnd();
  EXPECT_TRUE(call_.finished->ok());
}

TEST_F(ReflectionServiceTest, EndsAtBytesThatAreNoRequest) {
  handler_->OnMessage("\xFF");
  EXPECT_EQ(call_.finished->code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace tflite_serving
