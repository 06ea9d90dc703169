// The golden transcripts (tests/golden/README.md) in process: the same files that tests/e2e runs over the wire.

#include <cmath>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>
#include <simdjson.h>

#include "api/fake_calls.h"
#include "api/inference_service.h"
#include "api/prediction_service.h"
#include "api/rest_v1.h"
#include "base/file.h"
#include "lifecycle/manager.h"
#include "runtime/litert_servable.h"

namespace tflite_serving {
namespace {

using simdjson::dom::element;
using simdjson::dom::element_type;

// Equal as JSON: the order of keys does not matter, and numbers may differ by `tolerance`.
bool SameJson(element a, element b, double tolerance) {
  if (a.is_number() && b.is_number()) return std::abs(double(a) - double(b)) <= tolerance;
  if (a.type() != b.type()) return false;
  if (a.type() == element_type::ARRAY) {
    if (a.get_array().size() != b.get_array().size()) return false;
    auto other = b.get_array().begin();
    for (const element item : a.get_array()) {
      if (!SameJson(item, *other, tolerance)) return false;
      ++other;
    }
    return true;
  }
  if (a.type() == element_type::OBJECT) {
    if (a.get_object().size() != b.get_object().size()) return false;
    for (const auto& [key, value] : a.get_object()) {
      element other;
      if (b.at_key(key).get(other) != simdjson::SUCCESS || !SameJson(value, other, tolerance)) return false;
    }
    return true;
  }
  return simdjson::to_string(a) == simdjson::to_string(b);
}

// A message of this type, from its text format.
std::unique_ptr<google::protobuf::Message> MessageOf(const google::protobuf::Descriptor* type, std::string_view text) {
  std::unique_ptr<google::protobuf::Message> message(google::protobuf::MessageFactory::generated_factory()->GetPrototype(type)->New());
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(std::string(text), message.get())) << text;
  return message;
}

// The APIs over one model of tests/models.
class OneModel {
 public:
  explicit OneModel(const std::string& name) {
    std::string path = std::string(TEST_MODELS_DIR) + "/" + name;
    if (!std::filesystem::is_directory(path)) path += ".tflite";
    const StatusOr<std::vector<std::string>> models = manager_.SetModels({{.name = name, .base_path = path}}, {.paths_must_exist = true});
    loaded_ = models.status();
    if (!loaded_.ok()) return;
    manager_.WaitUntilAtRest(*models, kNoDeadline);
    loaded_ = manager_.Failures(*models, "model(s)");
  }

  const Status& loaded() const { return loaded_; }
  RestV1& rest() { return rest_; }
  // A method of PredictionService.
  GrpcHandler rpc(std::string_view name) {
    for (const auto& methods : {prediction_.methods(), inference_.methods()}) {
      for (const GrpcMethod& method : methods) {
        if (method.path == "/tensorflow.serving.PredictionService/" + std::string(name)) return method.handler;
      }
    }
    return nullptr;
  }

 private:
  Manager manager_{[](const ServableId& id, const std::string& path, const LoadOptions&, const Cancellation&) -> StatusOr<ServableHandle> {
                     TFLS_ASSIGN_OR_RETURN(std::unique_ptr<LiteRtServable> servable, LiteRtServable::Create(id, path, {.num_interpreters = 1}));
                     return ServableHandle(std::move(servable));
                   },
                   {}};
  WorkerPool workers_{"worker", 1, 16};
  RestV1 rest_{manager_, workers_, Clock::Steady(), {}};
  PredictionService prediction_{manager_, workers_, Clock::Steady(), {}};
  InferenceService inference_{manager_, workers_, Clock::Steady(), {}};
  Status loaded_;
};

class GoldenTest : public testing::TestWithParam<std::string> {
 protected:
  void Check(element transcript) {
    const std::string model(transcript["model"].get_string().value());
    std::unique_ptr<OneModel>& served = models_[model];
    if (served == nullptr) served = std::make_unique<OneModel>(model);
    ASSERT_TRUE(served->loaded().ok()) << served->loaded().ToString();

    std::string_view rpc;
    if (transcript["rpc"].get(rpc) == simdjson::SUCCESS) return CheckRpc(*served, rpc, transcript);
    const element request = transcript["request"].value();
    std::string_view body;
    if (request["body"].get(body) != simdjson::SUCCESS) body = "";
    FakeHttpCall call(std::string(request["method"].get_string().value()), std::string(request["path"].get_string().value()), std::string(body));
    SetHeaders(request, call);
    served->rest().Handle(call);
    CheckResponse(transcript["response"].value(), call.Wait());
  }

  static void SetHeaders(element request, FakeHttpCall& call) {
    element headers;
    if (request["headers"].get(headers) != simdjson::SUCCESS) return;
    for (const auto& [name, value] : headers.get_object()) {
      std::string text(value.get_string().value());
      if (name == "Content-Type") {
        call.set_content_type(std::move(text));
      } else if (name == "Accept") {
        call.set_accept(std::move(text));
      } else {
        ASSERT_EQ(name, "Origin") << "the other header that the API looks at";
        call.set_origin(std::move(text));
      }
    }
  }

  static std::string_view HeaderOf(const HttpResponse& response, std::string_view name) {
    if (name == "Content-Type") return response.content_type;
    for (const auto& [known, value] : response.headers) {
      if (known == name) return value;
    }
    ADD_FAILURE() << "no header " << name;
    return {};
  }

  static void CheckRpc(OneModel& served, std::string_view rpc, element transcript) {
    const auto* service = google::protobuf::DescriptorPool::generated_pool()->FindServiceByName("tensorflow.serving.PredictionService");
    const auto* method = service->FindMethodByName(std::string(rpc));
    ASSERT_NE(method, nullptr) << rpc;
    FakeGrpcCall call(MessageOf(method->input_type(), transcript["request"].get_string().value())->SerializeAsString());
    const GrpcHandler handler = served.rpc(rpc);
    ASSERT_TRUE(handler) << rpc;
    handler(call);
    const Status status = call.Wait();
    EXPECT_EQ(StatusCodeName(status.code()), transcript["status"].get_string().value()) << status.ToString();
    std::string_view text;
    if (transcript["message"].get(text) == simdjson::SUCCESS) {
      EXPECT_EQ(status.message(), text);
    }
    if (transcript["response"].get(text) != simdjson::SUCCESS) return;
    const std::unique_ptr<google::protobuf::Message> expected = MessageOf(method->output_type(), text);
    const std::unique_ptr<google::protobuf::Message> response = MessageOf(method->output_type(), "");
    ASSERT_TRUE(response->ParseFromString(call.reply()));
    EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(*response, *expected)) << response->ShortDebugString();
  }

  static void CheckResponse(element expected, const HttpResponse& response) {
    EXPECT_EQ(response.status, expected["status"].get_int64().value()) << response.body;
    element headers;
    if (expected["headers"].get(headers) == simdjson::SUCCESS) {
      for (const auto& [name, value] : headers.get_object()) {
        EXPECT_EQ(HeaderOf(response, name), value.get_string().value()) << name;
      }
    }
    std::string_view body;
    if (expected["body"].get(body) == simdjson::SUCCESS) {
      EXPECT_EQ(response.body, body);
    }
    element body_json;
    if (expected["body_json"].get(body_json) != simdjson::SUCCESS) return;
    double tolerance = 0;
    if (expected["tolerance"].get(tolerance) != simdjson::SUCCESS) tolerance = 0;
    simdjson::dom::parser parser;
    element actual;
    ASSERT_EQ(parser.parse(response.body).get(actual), simdjson::SUCCESS) << response.body;
    EXPECT_TRUE(SameJson(actual, body_json, tolerance)) << "expected " << simdjson::to_string(body_json) << "\ngot " << response.body;
  }

 private:
  std::map<std::string, std::unique_ptr<OneModel>> models_;
};

TEST_P(GoldenTest, EveryTranscript) {
  simdjson::dom::parser parser;
  element file;
  const StatusOr<std::string> text = ReadFile(GetParam(), 1 << 20);
  ASSERT_TRUE(text.ok()) << text.status().ToString();
  ASSERT_EQ(parser.parse(*text).get(file), simdjson::SUCCESS) << GetParam();
  ASSERT_GT(file.get_array().size(), 0u);
  for (const element transcript : file.get_array()) {
    SCOPED_TRACE(std::string(transcript["name"].get_string().value()));
    Check(transcript);
  }
}

std::vector<std::string> TranscriptFiles() {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(TEST_MODELS_DIR) + "/../golden")) {
    if (entry.path().extension() == ".json") files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

INSTANTIATE_TEST_SUITE_P(Files, GoldenTest, testing::ValuesIn(TranscriptFiles()),
                         [](const auto& file) { return std::filesystem::path(file.param).stem().string(); });

}  // namespace
}  // namespace tflite_serving
