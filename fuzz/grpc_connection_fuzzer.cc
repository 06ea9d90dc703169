// Fuzzes what a client may send on a gRPC connection: the bytes go to a session with one unary and one streaming method.
//
// The input's first byte says into how many pieces the rest is cut, and with its highest bit whether the connection is asked to drain halfway. What
// must hold: nothing is read or written out of bounds, no memory is lost, what is sent are whole frames, and every streaming call that began has
// ended with the connection.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>

#include "transport/grpc/grpc_loop.h"
#include "transport/grpc/grpc_session.h"

namespace tflite_serving {
namespace {

void Require(bool condition, const char* what) {
  if (condition) return;
  std::cerr << "does not hold: " << what << '\n';
  std::abort();
}

void Echo(GrpcCall& call) {
  const auto request = call.request()[0];
  if (call.metadata("x-fail").empty()) {
    const auto reply = call.AllocateReply(request.size());
    std::ranges::copy(request, reply.begin());
    call.Finish(OkStatus());
  } else {
    call.Finish(InvalidArgumentError(std::string(reinterpret_cast<const char*>(request.data()), request.size())));
  }
}

class EchoStream final : public GrpcStreamHandler {
 public:
  static inline int num_alive = 0;

  explicit EchoStream(GrpcStreamCall& call) : call_(call) { ++num_alive; }
  ~EchoStream() override { --num_alive; }
  void OnMessage(std::string_view message) override { call_.Send(std::string(message)); }
  void OnEnd() override { call_.Finish(OkStatus()); }

 private:
  GrpcStreamCall& call_;
};

const GrpcMethods& Methods() {
  static const GrpcMethods methods = [] {
    StatusOr<GrpcMethods> made = GrpcMethods::Create({{"/tensorflow.serving.PredictionService/Predict", Echo}},
                                                     {{"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                                                       [](GrpcStreamCall& call) { return std::make_unique<EchoStream>(call); }}});
    Require(made.ok(), "the methods are good");
    return *std::move(made);
  }();
  return methods;
}

// Everything that the session has to send, as if the socket took `step` bytes at a time. False: the connection is over.
bool TakeOutput(GrpcSession& session, size_t step, std::string& sent) {
  while (true) {
    if (!session.FillOutput()) return false;
    if (session.output().size() == 0) return true;
    size_t taken = 0;
    for (const auto& piece : session.output().Pieces()) {
      const size_t size = std::min(piece.size(), step - taken);
      sent.append(static_cast<const char*>(piece.data()), size);
      taken += size;
    }
    session.ConsumeOutput(taken);
  }
}

// As a connection reads from its socket, in which `bytes` wait. Returns how many were read.
size_t Read(GrpcInput& input, GrpcSession& session, std::string_view bytes, TimePoint now, bool& going) {
  size_t size = 0;
  for (const auto& room : input.Prepare(session.landing())) {
    const size_t step = std::min(room.size(), bytes.size() - size);
    if (step > 0) std::memcpy(room.data(), bytes.data() + size, step);
    size += step;
  }
  going = input.Deliver(size, [&](std::string_view piece) { return session.Receive(piece, now); });
  return size;
}

bool AreWholeFrames(std::string_view sent) {
  constexpr size_t kFrameHeadBytes = 9;
  while (sent.size() >= kFrameHeadBytes) {
    size_t size = kFrameHeadBytes;
    for (size_t i = 0; i < 3; ++i) size += size_t{static_cast<unsigned char>(sent[i])} << (16 - 8 * i);
    if (sent.size() < size) return false;
    sent.remove_prefix(size);
  }
  return sent.empty();
}

void Converse(std::string_view bytes, size_t num_pieces, bool drain) {
  // Memory of one call must not be what a short announcement may ask for.
  const GrpcLimits limits{.max_receive_message_bytes = 1 << 20, .max_concurrent_streams = 100};
  TlsPort no_tls("gRPC", TlsProtocol::kGrpc, nullptr);
  RefusalCounts refusals;
  GrpcLoop loop(Methods(), limits, no_tls, refusals, std::make_shared<InFlightBytes>());
  TimePoint now{};
  std::string sent;
  {
    GrpcSession session(loop, [] {}, now);
    const size_t step = bytes.size() / num_pieces + 1;
    bool going = TakeOutput(session, step, sent);
    for (size_t at = 0; going && at < bytes.size() && !session.done();) {
      now += std::chrono::milliseconds(1);
      const std::string_view piece = bytes.substr(at, step);
      at += Read(loop.input(), session, piece, now, going);
      going = going && TakeOutput(session, step, sent);
      if (going && drain && at >= bytes.size() / 2) session.Drain(now);
    }
    if (going) going = session.CheckTime(now + std::chrono::seconds(1)) && TakeOutput(session, 1000, sent);
    Require(!going || AreWholeFrames(sent), "what is sent are whole frames");
  }
  Require(EchoStream::num_alive == 0, "no streaming call outlives its connection");
}

}  // namespace
}  // namespace tflite_serving

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  tflite_serving::Converse(bytes, data[0] % 0x80 + 1, data[0] >= 0x80);
  return 0;
}
