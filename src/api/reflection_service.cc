#include "api/reflection_service.h"

#include <algorithm>
#include <memory>
#include <set>
#include <string_view>
#include <utility>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include "base/status.h"
#include "grpc/reflection/v1/reflection.pb.h"

namespace tflite_serving {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;
using grpc::reflection::v1::ServerReflectionRequest;
using grpc::reflection::v1::ServerReflectionResponse;

constexpr std::string_view kPaths[] = {"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
                                       "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"};

std::string ServiceOf(std::string_view path) { return std::string(path.substr(1, path.rfind('/') - 1)); }

// One conversation. A file is sent once, together with those that it imports.
class Conversation final : public GrpcStreamHandler {
 public:
  Conversation(const std::vector<std::string>& services, GrpcStreamCall& call) : services_(services), call_(call) {}

  void OnMessage(std::string_view message) override {
    ServerReflectionRequest request;
    if (!request.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
      return call_.Finish(InvalidArgumentError("the request is not a valid ServerReflectionRequest"));
    }
    ServerReflectionResponse response;
    response.set_valid_host(request.host());
    Answer(request, response);
    *response.mutable_original_request() = std::move(request);
    call_.Send(response.SerializeAsString());
  }

  void OnEnd() override { call_.Finish(OkStatus()); }

 private:
  void Answer(const ServerReflectionRequest& request, ServerReflectionResponse& response) {
    switch (request.message_request_case()) {
      case ServerReflectionRequest::kFileByFilename:
        return AnswerFile(pool_.FindFileByName(request.file_by_filename()), "File not found.", response);
      case ServerReflectionRequest::kFileContainingSymbol:
        return AnswerFile(pool_.FindFileContainingSymbol(request.file_containing_symbol()), "Symbol not found.", response);
      case ServerReflectionRequest::kFileContainingExtension: {
        const auto& wanted = request.file_containing_extension();
        const auto* const type = pool_.FindMessageTypeByName(wanted.containing_type());
        const FieldDescriptor* const field = type == nullptr ? nullptr : pool_.FindExtensionByNumber(type, wanted.extension_number());
        return AnswerFile(field == nullptr ? nullptr : field->file(), "Extension not found.", response);
      }
      case ServerReflectionRequest::kAllExtensionNumbersOfType:
        return AnswerExtensions(request.all_extension_numbers_of_type(), response);
      case ServerReflectionRequest::kListServices:
        for (const std::string& service : services_) response.mutable_list_services_response()->add_service()->set_name(service);
        return;
      case ServerReflectionRequest::MESSAGE_REQUEST_NOT_SET:
        return AnswerError(StatusCode::kInvalidArgument, "The request asks for nothing.", response);
    }
  }

  void AnswerFile(const FileDescriptor* file, const char* not_found, ServerReflectionResponse& response) {
    if (file == nullptr) return AnswerError(StatusCode::kNotFound, not_found, response);
    response.mutable_file_descriptor_response();
    sent_.erase(file);  // what is asked for by name is sent, even again
    AddFile(*file, response);
  }

  void AddFile(const FileDescriptor& file, ServerReflectionResponse& response) {
    if (!sent_.insert(&file).second) return;
    google::protobuf::FileDescriptorProto proto;
    file.CopyTo(&proto);
    response.mutable_file_descriptor_response()->add_file_descriptor_proto(proto.SerializeAsString());
    for (int i = 0; i < file.dependency_count(); ++i) AddFile(*file.dependency(i), response);
  }

  void AnswerExtensions(const std::string& name, ServerReflectionResponse& response) {
    const auto* const type = pool_.FindMessageTypeByName(name);
    if (type == nullptr) return AnswerError(StatusCode::kNotFound, "Type not found.", response);
    std::vector<const FieldDescriptor*> extensions;
    pool_.FindAllExtensions(type, &extensions);
    response.mutable_all_extension_numbers_response()->set_base_type_name(name);
    for (const FieldDescriptor* extension : extensions) response.mutable_all_extension_numbers_response()->add_extension_number(extension->number());
  }

  static void AnswerError(StatusCode code, const char* message, ServerReflectionResponse& response) {
    response.mutable_error_response()->set_error_code(static_cast<int>(code));
    response.mutable_error_response()->set_error_message(message);
  }

  const DescriptorPool& pool_ = *DescriptorPool::generated_pool();
  const std::vector<std::string>& services_;
  GrpcStreamCall& call_;
  std::set<const FileDescriptor*> sent_;
};

}  // namespace

ReflectionService::ReflectionService(std::span<const GrpcMethod> methods, std::span<const GrpcStreamMethod> stream_methods) {
  std::set<std::string> services;
  for (const GrpcMethod& method : methods) services.insert(ServiceOf(method.path));
  for (const GrpcStreamMethod& method : stream_methods) services.insert(ServiceOf(method.path));
  for (const std::string_view path : kPaths) services.insert(ServiceOf(path));
  services_.assign(services.begin(), services.end());
}

std::vector<GrpcStreamMethod> ReflectionService::stream_methods() const {
  std::vector<GrpcStreamMethod> methods;
  for (const std::string_view path : kPaths) {
    methods.push_back({std::string(path), [this](GrpcStreamCall& call) { return std::make_unique<Conversation>(services_, call); }});
  }
  return methods;
}

}  // namespace tflite_serving
