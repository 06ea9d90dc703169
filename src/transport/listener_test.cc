// Listening sockets, of both kinds.
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/temporary_directory.h"
#include "transport/tcp_listener.h"
#include "transport/unix_listener.h"

namespace tflite_serving {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// Connects to `port` of this machine over IPv4 or IPv6; invalid if refused.
UniqueFd Connect(uint16_t port, int family = AF_INET) {
  UniqueFd fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = v4.sin_port;
  v6.sin6_addr = in6addr_loopback;
  const int result = family == AF_INET ? ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&v4), sizeof(v4))
                                       : ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&v6), sizeof(v6));
  return result == 0 ? std::move(fd) : UniqueFd();
}

// Asked of the system, not of the listener: containers often have none.
bool HasIpv6Loopback() {
  const UniqueFd fd(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_loopback;
  return fd.valid() && ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
}

sockaddr_un UnixAddress(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  return address;
}

TEST(TcpListenerTest, EveryAddressMeansBothFamilies) {
  const StatusOr<std::vector<TcpListener>> listeners = ListenOnTcp({}, 0);
  ASSERT_TRUE(listeners.ok()) << listeners.status().ToString();
  const uint16_t port = listeners->front().port;
  EXPECT_TRUE(Connect(port).valid());
  EXPECT_EQ(Connect(port, AF_INET6).valid(), HasIpv6Loopback());
}

TEST(TcpListenerTest, BindsToTheAddressAsked) {
  const StatusOr<std::vector<TcpListener>> listeners = ListenOnTcp({"127.0.0.1"}, 0);
  ASSERT_TRUE(listeners.ok()) << listeners.status().ToString();
  EXPECT_TRUE(Connect(listeners->front().port).valid());
  EXPECT_FALSE(Connect(listeners->front().port, AF_INET6).valid());
  EXPECT_THAT(ListenOnTcp({"192.0.2.1"}, 0).status().message(), HasSubstr("192.0.2.1"));
  EXPECT_THAT(ListenOnTcp({"no such host"}, 0).status().message(), HasSubstr("no such host"));
}

TEST(TcpListenerTest, APortInUseIsAnErrorThatNamesIt) {
  const StatusOr<std::vector<TcpListener>> first = ListenOnTcp({}, 0);
  ASSERT_TRUE(first.ok()) << first.status().ToString();
  const uint16_t port = first->front().port;
  const Status second = ListenOnTcp({}, port).status();
  EXPECT_EQ(second.code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(second.message(), "cannot listen on port " + std::to_string(port) + ": Address already in use");
  EXPECT_THAT(ListenOnTcp({"127.0.0.1"}, port).status().message(), StartsWith("cannot listen on 127.0.0.1 port " + std::to_string(port)));
}

TEST(UnixListenerTest, ListensAtAPath) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/grpc.sock";
  const StatusOr<UniqueFd> listener = ListenOnUnixSocket(path);
  ASSERT_TRUE(listener.ok()) << listener.status().ToString();
  const UniqueFd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_un address = UnixAddress(path);
  EXPECT_EQ(::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_EQ(ListenOnUnixSocket(path).status().message(), "cannot listen on unix:" + path + ": Address already in use");
}

TEST(UnixListenerTest, ReplacesADeadSocketFileButNothingElse) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/grpc.sock";
  {
    const UniqueFd dead(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_TRUE(dead.valid());
    const sockaddr_un address = UnixAddress(path);
    ASSERT_EQ(::bind(dead.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  }
  ASSERT_TRUE(std::filesystem::exists(path));
  EXPECT_TRUE(ListenOnUnixSocket(path).ok());
  const std::string file = directory.Write("precious.txt", "text");
  EXPECT_EQ(ListenOnUnixSocket(file).status().code(), StatusCode::kAlreadyExists);
  EXPECT_TRUE(std::filesystem::is_regular_file(file));
  EXPECT_THAT(ListenOnUnixSocket(std::string(108, 'p')).status().message(), HasSubstr("the path has 108 bytes, the limit is 107"));
}

}  // namespace
}  // namespace tflite_serving
