#include "transport/open_connections.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

// Of an IPv4 or IPv6 client; "" is one of a Unix socket.
sockaddr_storage AddressOf(const std::string& text) {
  sockaddr_storage address{};
  sockaddr_in v4{.sin_family = AF_INET, .sin_port = htons(4711), .sin_addr = {}, .sin_zero = {}};
  sockaddr_in6 v6{.sin6_family = AF_INET6, .sin6_port = htons(4711), .sin6_flowinfo = 0, .sin6_addr = {}, .sin6_scope_id = 0};
  if (text.empty()) {
    address.ss_family = AF_UNIX;
  } else if (::inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
    std::memcpy(&address, &v4, sizeof(v4));
  } else {
    EXPECT_EQ(::inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr), 1) << text;
    std::memcpy(&address, &v6, sizeof(v6));
  }
  return address;
}

TEST(ClientNetworkTest, IsWhatOneClientCanHave) {
  EXPECT_EQ(ClientNetwork(AddressOf("10.1.2.3")), ClientNetwork(AddressOf("::ffff:10.1.2.3")));
  EXPECT_NE(ClientNetwork(AddressOf("10.1.2.3")), ClientNetwork(AddressOf("10.1.2.4")));
  EXPECT_EQ(ClientNetwork(AddressOf("2001:db8:1:2::1")), ClientNetwork(AddressOf("2001:db8:1:2:3:4:5:6")));
  EXPECT_NE(ClientNetwork(AddressOf("2001:db8:1:2::1")), ClientNetwork(AddressOf("2001:db8:1:3::1")));
  EXPECT_NE(ClientNetwork(AddressOf("::1")), ClientNetwork(AddressOf("127.0.0.1")));
  EXPECT_EQ(ClientNetwork(AddressOf("")), std::nullopt);
}

TEST(OpenConnectionsTest, AnAddressMayHaveSoManyAndNoneMore) {
  OpenConnections open(2);
  const sockaddr_storage one = AddressOf("10.0.0.1");
  std::optional<OpenConnections::Place> first = open.Enter(one);
  const std::optional<OpenConnections::Place> second = open.Enter(one);
  ASSERT_TRUE(first && second);
  EXPECT_FALSE(open.Enter(one));
  EXPECT_EQ(open.num_refused(), 1U);
  EXPECT_TRUE(open.Enter(AddressOf("10.0.0.2")));

  OpenConnections::Place moved = std::move(*first);
  first.reset();
  EXPECT_FALSE(open.Enter(one)) << "the place is still taken";
  moved = OpenConnections::Place();
  EXPECT_TRUE(open.Enter(one));
  EXPECT_EQ(open.num_refused(), 2U);
}

TEST(OpenConnectionsTest, UnixSocketsHaveNoLimitAndWithoutOneNobodyHas) {
  OpenConnections limited(1);
  OpenConnections unlimited(0);
  std::vector<OpenConnections::Place> places;
  for (size_t i = 0; i < 2 * kTrimAfterClosed; ++i) {
    std::optional<OpenConnections::Place> of_socket = limited.Enter(AddressOf(""));
    std::optional<OpenConnections::Place> of_address = unlimited.Enter(AddressOf("10.0.0.1"));
    ASSERT_TRUE(of_socket && of_address);
    places.push_back(*std::move(of_socket));
    places.push_back(*std::move(of_address));
  }
  places.clear();
  EXPECT_EQ(limited.num_refused() + unlimited.num_refused(), 0U);
}

TEST(ClientLogTest, NamesPeersAndLeavesOutWhatIsTooMuch) {
  EXPECT_EQ(PeerName(AddressOf("10.0.0.1")), "10.0.0.1:4711");
  EXPECT_EQ(PeerName(AddressOf("::ffff:10.0.0.1")), "10.0.0.1:4711");
  EXPECT_EQ(PeerName(AddressOf("2001:db8::1")), "[2001:db8::1]:4711");
  EXPECT_EQ(PeerName(AddressOf("")), "a Unix socket");
  EXPECT_EQ(PeerName({}), "a client");

  ClientLog log;
  testing::internal::CaptureStderr();
  for (int i = 0; i < 100; ++i) log.Write(LogLevel::kWarning, "a client did it");
  const std::string text = testing::internal::GetCapturedStderr();
  const auto lines = std::count(text.begin(), text.end(), '\n');
  EXPECT_GE(lines, ClientLog::kMaxLinesPerSecond);
  EXPECT_LT(lines, 100);
}

}  // namespace
}  // namespace tflite_serving
