#include "transport/grpc_server.h"

#include <grpc/slice.h>
#include <grpc/support/time.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/impl/codegen/server_callback_handlers.h>
#include <grpcpp/impl/service_type.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace tflite_serving {
namespace {

// How gRPC reads and frames: large messages in few, large pieces.
constexpr int kReadChunkBytes = 64 << 10;
constexpr int kMaxReadChunkBytes = 4 << 20;
constexpr int kMaxFrameBytes = 1 << 20;
constexpr int kLookaheadBytes = 8 << 20;

// The grpc-timeout header goes up to 11,000 years, which a TimePoint cannot hold.
constexpr int64_t kNoDeadlineSeconds = int64_t{1} << 30;

grpc::Status ToGrpcStatus(const Status& status) {
  const auto code = static_cast<grpc::StatusCode>(status.code());
  const std::string& message = status.message();
  if (message.size() <= GrpcServer::kMaxStatusMessageBytes) return {code, message};
  size_t cut = GrpcServer::kMaxStatusMessageBytes;
  // Never inside a UTF-8 sequence: clients decode the text.
  while (cut > GrpcServer::kMaxStatusMessageBytes - 4 && (static_cast<unsigned char>(message[cut]) & 0xC0) == 0x80) --cut;
  return {code, message.substr(0, cut) + GrpcServer::kTruncatedSuffix};
}

TimePoint ToTimePoint(gpr_timespec deadline) {
  if (gpr_time_cmp(deadline, gpr_inf_future(deadline.clock_type)) == 0) return kNoDeadline;
  const gpr_timespec left = gpr_time_sub(deadline, gpr_now(deadline.clock_type));
  if (left.tv_sec > kNoDeadlineSeconds) return kNoDeadline;
  return std::chrono::steady_clock::now() + std::chrono::seconds(left.tv_sec) + std::chrono::nanoseconds(left.tv_nsec);
}

// One call: gRPC's reactor and ours at once. It lives in the arena that gRPC keeps for the call, so making one costs no allocation.
class UnaryCall final : public grpc::ServerUnaryReactor, public GrpcCall {
 public:
  // `request` and `response` live until OnDone.
  UnaryCall(grpc::CallbackServerContext* context, const grpc::ByteBuffer& request, grpc::ByteBuffer* response)
      : context_(context), response_(response) {
    if (!request.Valid()) return;
    dump_status_ = request.Dump(&slices_);
    pieces_.reserve(slices_.size());
    for (const grpc::Slice& slice : slices_) pieces_.push_back(std::as_bytes(std::span(slice.begin(), slice.size())));
  }

  // Not OK when the request's bytes cannot be had; no handler must see such a call.
  const grpc::Status& dump_status() const { return dump_status_; }

  std::span<const std::span<const std::byte>> request() const override { return pieces_; }
  TimePoint deadline() const override { return ToTimePoint(context_->raw_deadline()); }
  const Cancellation& cancellation() const override { return cancellation_; }

  std::span<std::byte> AllocateReply(size_t size_bytes) override {
    // grpc::Slice(size) would hold few bytes inside of itself, unaligned.
    grpc_slice slice = grpc_slice_malloc_large(size_bytes);
    const std::span<std::byte> memory(reinterpret_cast<std::byte*>(GRPC_SLICE_START_PTR(slice)), size_bytes);
    reply_.emplace(slice, grpc::Slice::STEAL_REF);
    return memory;
  }

  void Finish(const Status& status) override {
    if (!status.ok()) {
      ServerUnaryReactor::Finish(ToGrpcStatus(status));
      return;
    }
    grpc::ByteBuffer reply(reply_ ? &*reply_ : nullptr, reply_ ? 1 : 0);
    response_->Swap(&reply);
    ServerUnaryReactor::Finish(grpc::Status::OK);
  }

  void OnCancel() override { cancellation_.Cancel(); }
  void OnDone() override { this->~UnaryCall(); }

 private:
  // OnCancel and OnDone do next to nothing: gRPC may call them where it stands, instead of on another thread.
  bool InternalInlineable() override { return true; }

  grpc::CallbackServerContext* const context_;
  grpc::ByteBuffer* const response_;
  grpc::Status dump_status_;
  std::vector<grpc::Slice> slices_;
  std::vector<std::span<const std::byte>> pieces_;
  std::optional<grpc::Slice> reply_;
  Cancellation cancellation_;
};

// The methods of one service, as gRPC wants to see them.
class RawService final : public grpc::Service {
 public:
  void Add(const GrpcMethod& method) {
    paths_.push_back(std::make_unique<std::string>(method.path));  // gRPC keeps the pointer
    AddMethod(new grpc::internal::RpcServiceMethod(paths_.back()->c_str(), grpc::internal::RpcMethod::NORMAL_RPC, nullptr));
    MarkMethodRawCallback(static_cast<int>(paths_.size()) - 1,
                          new grpc::internal::CallbackUnaryHandler<grpc::ByteBuffer, grpc::ByteBuffer>(
                              [handler = method.handler](grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                                         grpc::ByteBuffer* response) { return Serve(handler, context, *request, response); }));
  }

 private:
  static grpc::ServerUnaryReactor* Serve(const GrpcHandler& handler, grpc::CallbackServerContext* context, const grpc::ByteBuffer& request,
                                         grpc::ByteBuffer* response);

  std::vector<std::unique_ptr<std::string>> paths_;
};

grpc::ServerUnaryReactor* RawService::Serve(const GrpcHandler& handler, grpc::CallbackServerContext* context, const grpc::ByteBuffer& request,
                                            grpc::ByteBuffer* response) {
  void* memory = grpc::g_core_codegen_interface->grpc_call_arena_alloc(context->c_call(), sizeof(UnaryCall));
  auto* call = new (memory) UnaryCall(context, request, response);
  if (call->dump_status().ok()) {
    handler(*call);
  } else {
    call->ServerUnaryReactor::Finish(call->dump_status());
  }
  return call;
}

// "/package.Service/Method" -> "package.Service"; empty for anything else.
std::string_view ServiceOf(std::string_view path) {
  const size_t slash = path.find('/', 1);
  if (path.empty() || path[0] != '/' || slash == std::string_view::npos || slash == 1 || slash + 1 == path.size()) return {};
  return path.substr(1, slash - 1);
}

void SetChannelArguments(const GrpcServerOptions& options, grpc::ServerBuilder& builder) {
  std::map<std::string, std::variant<int, std::string>> arguments = options.channel_arguments;
  arguments.try_emplace(GRPC_ARG_TCP_READ_CHUNK_SIZE, kReadChunkBytes);
  arguments.try_emplace(GRPC_ARG_TCP_MAX_READ_CHUNK_SIZE, kMaxReadChunkBytes);
  arguments.try_emplace(GRPC_ARG_HTTP2_MAX_FRAME_SIZE, kMaxFrameBytes);
  arguments.try_emplace(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kLookaheadBytes);
  arguments.try_emplace(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  arguments.try_emplace(GRPC_ARG_MAX_CONCURRENT_STREAMS, options.max_concurrent_streams);
  for (const auto& [name, value] : arguments) {
    std::visit([&builder, &key = name](const auto& typed) { builder.AddChannelArgument(key, typed); }, value);
  }
}

}  // namespace

struct GrpcServer::Impl {
  std::map<std::string, RawService, std::less<>> services;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> connections;
  std::unique_ptr<grpc::Server> server;
  std::unique_ptr<GrpcAcceptor> acceptor;
  std::once_flag shutdown;
};

StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Create(const GrpcServerOptions& options, const std::vector<GrpcMethod>& methods) {
  auto impl = std::make_unique<Impl>();
  TFLS_ASSIGN_OR_RETURN(impl->acceptor, GrpcAcceptor::Listen(options.listen));

  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  std::set<std::string_view> paths;
  for (const GrpcMethod& method : methods) {
    const std::string_view service = ServiceOf(method.path);
    if (service.empty()) return InvalidArgumentError(fmt::format("gRPC method \"{}\" is not of the form /package.Service/Method", method.path));
    if (!paths.insert(method.path).second) return InvalidArgumentError(fmt::format("gRPC method \"{}\" is there twice", method.path));
    impl->services[std::string(service)].Add(method);
  }
  for (auto& [name, service] : impl->services) builder.RegisterService(&service);
  builder.SetMaxReceiveMessageSize(options.max_receive_message_bytes);
  builder.SetMaxSendMessageSize(-1);
  // Only reflection uses these threads; the callback API has others.
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 1);
  SetChannelArguments(options, builder);
  impl->connections = builder.experimental().AddExternalConnectionAcceptor(grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
                                                                           grpc::InsecureServerCredentials());
  impl->server = builder.BuildAndStart();
  if (impl->server == nullptr) return InternalError("the gRPC server cannot be started");
  impl->acceptor->Start([connections = impl->connections.get()](UniqueFd connection) {
    grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters parameters;
    parameters.fd = connection.Release();
    connections->HandleNewConnection(&parameters);
  });
  return std::unique_ptr<GrpcServer>(new GrpcServer(std::move(impl)));
}

GrpcServer::GrpcServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

GrpcServer::~GrpcServer() { Shutdown(std::chrono::steady_clock::now()); }

int GrpcServer::port() const { return impl_->acceptor->port(); }

void GrpcServer::SetServing(const std::string& service, bool serving) { impl_->server->GetHealthCheckService()->SetServingStatus(service, serving); }

void GrpcServer::Shutdown(TimePoint deadline) {
  std::call_once(impl_->shutdown, [this, deadline] {
    impl_->server->GetHealthCheckService()->Shutdown();
    impl_->acceptor->Stop();
    if (deadline == kNoDeadline) {
      impl_->server->Shutdown();
    } else {
      impl_->server->Shutdown(std::chrono::system_clock::now() + (deadline - std::chrono::steady_clock::now()));
    }
  });
}

}  // namespace tflite_serving
