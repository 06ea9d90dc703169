#include "transport/grpc_acceptor.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/mutex.h"
#include "base/temporary_directory.h"
#include "telemetry/log.h"

namespace tflite_serving {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// What an HTTP/2 client says first: the preface and an empty SETTINGS frame.
constexpr std::string_view kFirstWords("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", GrpcAcceptor::kFirstWordsBytes);

void Say(const UniqueFd& client, std::string_view words) { ::send(client.get(), words.data(), words.size(), MSG_NOSIGNAL); }

// Connects to `port` of this machine over IPv4 or IPv6; invalid if refused.
UniqueFd ConnectSilently(int port, int family = AF_INET) {
  UniqueFd fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(static_cast<uint16_t>(port));
  v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = v4.sin_port;
  v6.sin6_addr = in6addr_loopback;
  const int result = family == AF_INET ? ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&v4), sizeof(v4))
                                       : ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&v6), sizeof(v6));
  return result == 0 ? std::move(fd) : UniqueFd();
}

// The same, and begins to speak HTTP/2.
UniqueFd ConnectTcp(int port, int family = AF_INET) {
  UniqueFd fd = ConnectSilently(port, family);
  if (fd.valid()) Say(fd, kFirstWords);
  return fd;
}

UniqueFd ConnectUnix(const std::string& path) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 ? std::move(fd) : UniqueFd();
}

// Collects what an acceptor hands over.
class Connections {
 public:
  GrpcAcceptor::ConnectionHandler Handler() {
    return [this](UniqueFd connection) {
      MutexLock lock(mutex_);
      taken_.push_back(std::move(connection));
      changed_.NotifyAll();
    };
  }
  // Waits until there are `n`.
  void AwaitCount(size_t n) {
    MutexLock lock(mutex_);
    while (taken_.size() < n) changed_.Wait(mutex_);
  }
  size_t count() {
    MutexLock lock(mutex_);
    return taken_.size();
  }
  int fd(size_t i) {
    MutexLock lock(mutex_);
    return taken_[i].get();
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  std::vector<UniqueFd> taken_ TFLS_GUARDED_BY(mutex_);
};

// The soft limit of descriptors, changed while one of these lives.
class DescriptorLimit {
 public:
  DescriptorLimit() { ::getrlimit(RLIMIT_NOFILE, &before_); }
  ~DescriptorLimit() { Restore(); }
  void Set(int limit) const {
    rlimit lowered = before_;
    lowered.rlim_cur = static_cast<rlim_t>(limit);
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &lowered), 0);
  }
  void Raise() const { Set(static_cast<int>(std::min<rlim_t>(before_.rlim_max, 65536))); }
  void Restore() const { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

std::unique_ptr<GrpcAcceptor> Listen(const GrpcAcceptorOptions& options) {
  StatusOr<std::unique_ptr<GrpcAcceptor>> acceptor = GrpcAcceptor::Listen(options);
  EXPECT_TRUE(acceptor.ok()) << acceptor.status().ToString();
  return *std::move(acceptor);
}

TEST(GrpcAcceptorTest, NeedsAPlaceToListen) {
  EXPECT_EQ(GrpcAcceptor::Listen({}).status(), InvalidArgumentError("the gRPC server needs a port or a Unix socket path"));
  EXPECT_EQ(GrpcAcceptor::Listen({.port = 65536}).status(), InvalidArgumentError("port 65536 is not within 0..65535"));
}

TEST(GrpcAcceptorTest, HandsOverConnectionsReadyForUse) {
  Connections connections;
  const auto acceptor = Listen({.port = kAnyFreePort});
  acceptor->Start(connections.Handler());
  const UniqueFd client = ConnectTcp(acceptor->port());
  ASSERT_TRUE(client.valid());
  connections.AwaitCount(1);
  const int fd = connections.fd(0);
  int no_delay = 0;
  socklen_t length = sizeof(no_delay);
  ASSERT_EQ(::getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, &length), 0);
  EXPECT_NE(no_delay, 0);
  char words[2 * GrpcAcceptor::kFirstWordsBytes];
  EXPECT_EQ(::recv(fd, words, sizeof(words), 0), GrpcAcceptor::kFirstWordsBytes) << "what the client said is still to be read";
  EXPECT_EQ(::recv(fd, words, sizeof(words), 0), -1);
  EXPECT_EQ(errno, EAGAIN) << "connections must not block";
  int low_water = 0;
  length = sizeof(low_water);
  ASSERT_EQ(::getsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &low_water, &length), 0);
  EXPECT_EQ(low_water, 1);
  acceptor->Stop();
}

TEST(GrpcAcceptorTest, HoldsAConnectionUntilItsClientSpeaks) {
  Connections connections;
  const auto acceptor = Listen({.port = kAnyFreePort});
  acceptor->Start(connections.Handler());
  const UniqueFd silent = ConnectSilently(acceptor->port());
  const UniqueFd halting = ConnectSilently(acceptor->port());
  Say(halting, kFirstWords.substr(0, 24));
  const UniqueFd speaking = ConnectTcp(acceptor->port());
  connections.AwaitCount(1);  // of those that came before it none
  Say(halting, kFirstWords.substr(24));
  connections.AwaitCount(2);
  acceptor->Stop();
  char byte;
  EXPECT_EQ(::recv(silent.get(), &byte, 1, 0), 0) << "Stop closes what is still silent";
  EXPECT_EQ(connections.count(), 2u);
}

TEST(GrpcAcceptorTest, ForgetsAClientThatHangsUpSilently) {
  Connections connections;
  const auto acceptor = Listen({.port = kAnyFreePort});
  acceptor->Start(connections.Handler());
  const UniqueFd gone = ConnectSilently(acceptor->port());
  Say(gone, "GET / HTTP/1.0\r\n\r\n");
  ASSERT_EQ(::shutdown(gone.get(), SHUT_WR), 0);
  char byte;
  EXPECT_EQ(::recv(gone.get(), &byte, 1, 0), -1) << "closed with unread bytes: reset";
  acceptor->Stop();
  EXPECT_EQ(connections.count(), 0u);
}

TEST(GrpcAcceptorTest, MoreSilentClientsThanItHoldsPushTheOldestOut) {
  const DescriptorLimit limit;
  limit.Raise();
  Connections connections;
  const auto acceptor = Listen({.port = kAnyFreePort});
  acceptor->Start(connections.Handler());
  std::vector<UniqueFd> clients;
  for (size_t i = 0; i <= GrpcAcceptor::kMaxSilent; ++i) {
    clients.push_back(ConnectSilently(acceptor->port()));
    ASSERT_TRUE(clients.back().valid()) << i << ": " << ::strerrordesc_np(errno);
  }
  char byte;
  EXPECT_EQ(::recv(clients.front().get(), &byte, 1, 0), 0);
  Say(clients.back(), kFirstWords);
  connections.AwaitCount(1);
  acceptor->Stop();
}

TEST(GrpcAcceptorTest, ServesIpv6WhereThereIsAny) {
  Connections connections;
  const auto acceptor = Listen({.port = kAnyFreePort});
  acceptor->Start(connections.Handler());
  const UniqueFd v4 = ConnectTcp(acceptor->port(), AF_INET);
  EXPECT_TRUE(v4.valid());
  const UniqueFd v6 = ConnectTcp(acceptor->port(), AF_INET6);
  if (!v6.valid()) GTEST_SKIP() << "this machine has no IPv6 loopback: " << ::strerrordesc_np(errno);
  connections.AwaitCount(2);
  acceptor->Stop();
}

TEST(GrpcAcceptorTest, APortInUseIsAnErrorThatNamesIt) {
  const auto first = Listen({.port = kAnyFreePort});
  const std::string port = std::to_string(first->port());
  const Status second = GrpcAcceptor::Listen({.port = first->port()}).status();
  EXPECT_EQ(second.code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(second.message(), "cannot listen on port " + port + ": Address already in use");
  EXPECT_THAT(GrpcAcceptor::Listen({.bind_address = "127.0.0.1", .port = first->port()}).status().message(),
              StartsWith("cannot listen on 127.0.0.1 port " + port));
}

TEST(GrpcAcceptorTest, AnAddressIsReusedAtOnce) {
  Connections connections;
  auto acceptor = Listen({.port = kAnyFreePort});
  const int port = acceptor->port();
  acceptor->Start(connections.Handler());
  const UniqueFd client = ConnectTcp(port);
  connections.AwaitCount(1);
  acceptor.reset();  // the accepted connection still occupies the port
  const auto again = Listen({.port = port});
  EXPECT_EQ(again->port(), port);
}

TEST(GrpcAcceptorTest, BindsToTheAddressAsked) {
  Connections connections;
  const auto acceptor = Listen({.bind_address = "127.0.0.1", .port = kAnyFreePort});
  acceptor->Start(connections.Handler());
  EXPECT_TRUE(ConnectTcp(acceptor->port(), AF_INET).valid());
  EXPECT_FALSE(ConnectTcp(acceptor->port(), AF_INET6).valid());
  EXPECT_THAT(GrpcAcceptor::Listen({.bind_address = "192.0.2.1", .port = kAnyFreePort}).status().message(), HasSubstr("192.0.2.1"));
  EXPECT_THAT(GrpcAcceptor::Listen({.bind_address = "no such host", .port = kAnyFreePort}).status().message(), HasSubstr("no such host"));
}

TEST(GrpcAcceptorTest, AfterStopClientsAreRefused) {
  Connections connections;
  const auto acceptor = Listen({.port = kAnyFreePort});
  acceptor->Start(connections.Handler());
  acceptor->Stop();
  EXPECT_FALSE(ConnectTcp(acceptor->port()).valid());
  acceptor->Stop();
}

TEST(GrpcAcceptorTest, ListensOnAUnixSocket) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/grpc.sock";
  Connections connections;
  auto acceptor = Listen({.unix_socket_path = path});
  EXPECT_EQ(acceptor->port(), 0);
  acceptor->Start(connections.Handler());
  const UniqueFd client = ConnectUnix(path);
  EXPECT_TRUE(client.valid());
  connections.AwaitCount(1);
  EXPECT_EQ(GrpcAcceptor::Listen({.unix_socket_path = path}).status().message(), "cannot listen on unix:" + path + ": Address already in use");
  acceptor.reset();
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(GrpcAcceptorTest, ReplacesADeadSocketFileButNothingElse) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/grpc.sock";
  {
    const UniqueFd dead(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_TRUE(dead.valid());
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
    ASSERT_EQ(::bind(dead.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  }
  ASSERT_TRUE(std::filesystem::exists(path));
  EXPECT_TRUE(GrpcAcceptor::Listen({.unix_socket_path = path}).ok());
  const std::string file = directory.Write("precious.txt", "text");
  EXPECT_EQ(GrpcAcceptor::Listen({.unix_socket_path = file}).status().code(), StatusCode::kAlreadyExists);
  EXPECT_TRUE(std::filesystem::is_regular_file(file));
  EXPECT_THAT(GrpcAcceptor::Listen({.unix_socket_path = std::string(108, 'p')}).status().message(),
              HasSubstr("the path has 108 bytes, the limit is 107"));
}

// The lowest descriptor that is free.
int NextDescriptor() { return UniqueFd(::dup(STDERR_FILENO)).get(); }

TEST(GrpcAcceptorTest, RecoversFromRunningOutOfDescriptors) {
  // UBSan opens a pipe when it sees the type of an object for the first time: let it see the logger's while it can.
  TFLS_WARNING("descriptors are about to run out");
  const DescriptorLimit limit;
  Connections connections;
  const auto acceptor = Listen({.port = kAnyFreePort});
  acceptor->Start(connections.Handler());
  const UniqueFd client = ConnectTcp(acceptor->port());
  connections.AwaitCount(1);
  const UniqueFd waiting(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));  // made while it can be
  limit.Set(NextDescriptor());
  ASSERT_EQ(NextDescriptor(), -1);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(acceptor->port()));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::connect(waiting.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  Say(waiting, kFirstWords);
  while (acceptor->failed_accepts() < 2) std::this_thread::yield();
  limit.Restore();
  connections.AwaitCount(2);
  EXPECT_TRUE(ConnectTcp(acceptor->port()).valid());
  connections.AwaitCount(3);
  acceptor->Stop();
}

TEST(GrpcAcceptorTest, LeavesDescriptorsForTheRestOfTheProcess) {
  const DescriptorLimit limit;
  Connections connections;
  const auto acceptor = Listen({.port = kAnyFreePort});
  acceptor->Start(connections.Handler());
  std::vector<UniqueFd> others;
  while (NextDescriptor() < 2 * GrpcAcceptor::kReservedDescriptors) others.emplace_back(::dup(STDERR_FILENO));
  // Room for the client and the reserve: the connection's own descriptor would be a reserved one.
  limit.Set(NextDescriptor() + 1 + GrpcAcceptor::kReservedDescriptors);
  const UniqueFd client = ConnectSilently(acceptor->port());
  ASSERT_TRUE(client.valid());
  char byte;
  EXPECT_EQ(::recv(client.get(), &byte, 1, 0), 0) << "the acceptor closes it";
  EXPECT_EQ(acceptor->failed_accepts(), 1);
  limit.Restore();
  const UniqueFd next = ConnectTcp(acceptor->port());
  connections.AwaitCount(1);
  acceptor->Stop();
}

}  // namespace
}  // namespace tflite_serving
