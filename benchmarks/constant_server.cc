// This server's transports with nothing behind them: every request gets the same answer at once. What the server costs beyond this is what it does
// for a model.
//
//   constant_server HTTP_ANSWER_FILE GRPC_ANSWER_FILE THREADS
//
// Answers every HTTP request with the first file as JSON, and PredictionService/Predict with the second, on free ports of the loopback address,
// with THREADS event loops each. Prints one line, "http PORT grpc PORT", and serves until a signal ends it.
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "base/status.h"
#include "transport/grpc/grpc_server.h"
#include "transport/http/http_server.h"

namespace tflite_serving {
namespace {

std::string Contents(const char* path) {
  std::ifstream stream(path, std::ios::binary);
  std::string contents(std::istreambuf_iterator<char>(stream), {});
  if (contents.empty()) {
    fmt::print(stderr, "cannot read {}\n", path);
    std::exit(EXIT_FAILURE);
  }
  return contents;
}

template <typename Server>
std::unique_ptr<Server> Started(StatusOr<std::unique_ptr<Server>> server) {
  if (!server.ok()) {
    fmt::print(stderr, "{}\n", server.status().ToString());
    std::exit(EXIT_FAILURE);
  }
  return *std::move(server);
}

class ConstantHandler : public HttpHandler {
 public:
  explicit ConstantHandler(std::string answer) : answer_(std::move(answer)) {}
  void Handle(HttpCall& call) override {
    call.response().body = answer_;
    call.Finish();
  }

 private:
  const std::string answer_;
};

int Serve(const char* http_answer_path, const char* grpc_answer_path, int num_threads) {
  ConstantHandler handler(Contents(http_answer_path));
  const std::string reply = Contents(grpc_answer_path);
  const auto http = Started(HttpServer::Create({.addresses = {"127.0.0.1"}, .num_threads = num_threads}, handler));
  const GrpcMethod predict{.path = "/tensorflow.serving.PredictionService/Predict", .handler = [&](GrpcCall& call) {
                             std::memcpy(call.AllocateReply(reply.size()).data(), reply.data(), reply.size());
                             call.Finish(OkStatus());
                           }};
  const auto grpc = Started(GrpcServer::Create({.bind_address = "127.0.0.1", .port = kAnyFreePort, .num_threads = num_threads}, {predict}, {}));
  http->Start();
  fmt::print("http {} grpc {}\n", http->port(), grpc->port());
  std::fflush(stdout);
  for (;;) ::pause();
}

}  // namespace
}  // namespace tflite_serving

int main(int argc, char** argv) {
  const int num_threads = argc == 4 ? std::atoi(argv[3]) : 0;
  if (num_threads < 1) {
    fmt::print(stderr, "usage: constant_server HTTP_ANSWER_FILE GRPC_ANSWER_FILE THREADS\n");
    return EXIT_FAILURE;
  }
  std::signal(SIGPIPE, SIG_IGN);
  return tflite_serving::Serve(argv[1], argv[2], num_threads);
}
