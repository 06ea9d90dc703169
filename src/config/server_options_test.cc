#include "config/server_options.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

ServerOptions Good() {
  ServerOptions options;
  options.model_base_path = "/models/digits";
  return options;
}

TEST(ServerOptionsTest, TheDefaultsNeedOnlyABasePath) {
  EXPECT_EQ(CheckServerOptions(Good()), OkStatus());
  const Status status = CheckServerOptions({});
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), StartsWith("Both server_options.model_base_path and server_options.model_config_file are empty!"));
  EXPECT_THAT(status.message(), HasSubstr("--model_base_path=PATH"));
}

TEST(ServerOptionsTest, GrpcNeedsAPortOrASocket) {
  ServerOptions options = Good();
  options.port = 0;
  options.rest_api_port = 8501;
  EXPECT_EQ(CheckServerOptions(options),
            InvalidArgumentError("At least one of server_options.grpc_port or server_options.grpc_socket_path must be set."));
  options.grpc_socket_path = "grpc.sock";
  EXPECT_EQ(CheckServerOptions(options), OkStatus());
}

TEST(ServerOptionsTest, ThePortsDiffer) {
  ServerOptions options = Good();
  options.rest_api_port = 8500;
  EXPECT_EQ(CheckServerOptions(options), InvalidArgumentError("--port and --rest_api_port must differ, and both are 8500"));
  options.port = 0;
  options.rest_api_port = 0;
  options.grpc_socket_path = "grpc.sock";
  EXPECT_EQ(CheckServerOptions(options), OkStatus());  // both off
}

TEST(ServerOptionsTest, ASocketPathFitsTheKernel) {
  ServerOptions options = Good();
  options.grpc_socket_path = std::string(107, 's');
  EXPECT_EQ(CheckServerOptions(options), OkStatus());
  options.grpc_socket_path = std::string(108, 's');
  EXPECT_EQ(CheckServerOptions(options),
            InvalidArgumentError("--grpc_socket_path=" + std::string(108, 's') + ": 108 bytes, and a socket's path may have 107"));
}

TEST(ServerOptionsTest, AConfigFileNeedsNeitherNameNorBasePath) {
  ServerOptions options;
  options.model_config_file = "/models/models.config";
  EXPECT_EQ(CheckServerOptions(options), OkStatus());
  options.model_name = "";
  EXPECT_EQ(CheckServerOptions(options), OkStatus());
  options.model_base_path = "/models/digits";
  EXPECT_EQ(CheckServerOptions(options), OkStatus());
}

TEST(ServerOptionsTest, BatchingParametersNeedBatching) {
  ServerOptions options = Good();
  options.batching_parameters_file = "/b.config";
  const Status refusal =
      InvalidArgumentError("server_options.batching_parameters_file is set without setting server_options.enable_batching to true.");
  EXPECT_EQ(CheckServerOptions(options), refusal);
  options.enable_per_model_batching_parameters = true;
  EXPECT_EQ(CheckServerOptions(options), refusal);
  options.model_config_file = "/models/models.config";
  EXPECT_EQ(CheckServerOptions(options), refusal);
  options.enable_batching = true;
  EXPECT_EQ(CheckServerOptions(options), OkStatus());
  options.batching_parameters_file = "";
  EXPECT_EQ(CheckServerOptions(options), OkStatus());
}

TEST(ServerOptionsTest, TheModelHasAName) {
  ServerOptions options = Good();
  options.model_name = "";
  EXPECT_EQ(CheckServerOptions(options), InvalidArgumentError("--model_name must not be empty"));
}

TEST(ServerOptionsTest, Readiness) {
  ServerOptions options = Good();
  options.readiness = "any_model";
  EXPECT_TRUE(CheckServerOptions(options).ok());
  options.readiness = "all";
  EXPECT_EQ(CheckServerOptions(options), InvalidArgumentError("--readiness=all: expected one of all_models, any_model, started"));
}

TEST(ServerOptionsTest, PathOfMetrics) {
  ServerOptions options = Good();
  for (const char* path : {"", "/m", "/a/b", "/healthz/metrics"}) {
    options.metrics_path = path;
    EXPECT_TRUE(CheckServerOptions(options).ok()) << path;
  }
  for (const char* path : {"metrics", "/m?x=1", "/healthz", "/readyz", "/openapi.json", "/v1/models", "/admin/metrics"}) {
    options.metrics_path = path;
    EXPECT_EQ(CheckServerOptions(options).code(), StatusCode::kInvalidArgument) << path;
  }
}

TEST(ServerOptionsTest, Tls) {
  ServerOptions options = Good();
  options.ssl_config_file = "/ssl.config";
  EXPECT_TRUE(CheckServerOptions(options).ok());
  options.tls_certificate_file = "/tls.crt";
  EXPECT_EQ(CheckServerOptions(options), InvalidArgumentError("--tls_certificate_file and --tls_key_file need each other, and one is missing"));
  options.tls_key_file = "/tls.key";
  EXPECT_EQ(CheckServerOptions(options),
            InvalidArgumentError("--ssl_config_file and --tls_certificate_file do not go together: both say how gRPC is served"));
  options.ssl_config_file = "";
  EXPECT_TRUE(CheckServerOptions(options).ok());
  options.tls_require_client_certificate = false;
  EXPECT_EQ(CheckServerOptions(options).code(), StatusCode::kInvalidArgument);
  options.tls_client_ca_file = "/ca.crt";
  EXPECT_TRUE(CheckServerOptions(options).ok());
  options.tls_require_client_certificate = true;
  EXPECT_TRUE(CheckServerOptions(options).ok());
  options.tls_certificate_file = options.tls_key_file = "";
  EXPECT_EQ(CheckServerOptions(options).code(), StatusCode::kInvalidArgument);
  options.model_config_file = "/models.config";
  EXPECT_EQ(CheckServerOptions(options).code(), StatusCode::kInvalidArgument);
}

TEST(ServerOptionsTest, StateIsNotToBeUnloaded) {
  ServerOptions options = Good();
  options.keep_state = true;
  EXPECT_TRUE(CheckServerOptions(options).ok());
  options.model_memory_budget_mb = 1;
  EXPECT_EQ(CheckServerOptions(options).code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace tflite_serving
