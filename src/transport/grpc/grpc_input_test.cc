#include "transport/grpc/grpc_input.h"

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>
#include <nghttp2/nghttp2.h>

#include "transport/grpc/grpc_loop.h"
#include "transport/grpc/grpc_session.h"
#include "transport/grpc/grpc_test_client.h"
#include "transport/grpc/grpc_test_server.h"

namespace tflite_serving {
namespace {

constexpr int32_t kStream = 5;
constexpr size_t kBulk = size_t{64} << 10;
constexpr size_t kFrame = GrpcInput::kMinFrameBytes;

std::string FrameHead(size_t size, uint8_t type, uint8_t flags, int32_t stream_id) {
  const auto length = static_cast<uint32_t>(size);
  const auto id = static_cast<uint32_t>(stream_id);
  std::string head;
  for (const uint32_t byte : {length >> 16, length >> 8, length, uint32_t{type}, uint32_t{flags}, id >> 24, id >> 16, id >> 8, id}) {
    head += static_cast<char>(byte);
  }
  return head;
}

// Reads the front of `stream`, up to `most` bytes, as a socket would, and takes it off.
std::string Receive(GrpcInput& input, const GrpcLanding& landing, std::string& stream, size_t most) {
  size_t size = 0;
  for (const asio::mutable_buffer& buffer : input.Prepare(landing)) {
    const size_t step = std::min({buffer.size(), most - size, stream.size() - size});
    std::memcpy(buffer.data(), stream.data() + size, step);
    size += step;
  }
  stream.erase(0, size);
  std::string delivered;
  EXPECT_TRUE(input.Deliver(size, [&](std::string_view bytes) {
    delivered += bytes;
    return true;
  }));
  EXPECT_EQ(delivered.size(), size);
  return delivered;
}

TEST(GrpcInputTest, WithoutALandingBytesGoAside) {
  GrpcInput input(kBulk);
  std::string stream(kBulk + 5, 'x');
  EXPECT_EQ(input.Prepare({}).size(), 1U);
  EXPECT_EQ(input.room_bytes(), kBulk);
  std::copy_n(stream.begin(), 7, static_cast<char*>(input.Prepare({})[0].data()));
  std::string delivered;
  EXPECT_FALSE(input.Deliver(7, [&](std::string_view bytes) {
    delivered = bytes;
    return false;
  }));
  EXPECT_EQ(delivered, "xxxxxxx");
}

TEST(GrpcInputTest, FramesOfOneMessageComeToLieBehindEachOther) {
  GrpcInput input(kBulk);
  std::string message(5 * kFrame + 100, '\0');
  std::mt19937 random(1);
  std::ranges::generate(message, [&] { return static_cast<char>(random()); });
  std::string room(message.size(), '\0');
  // The first frame has come but for its last ten bytes.
  size_t at = kFrame - 10;
  std::string stream = message.substr(at, 10);
  for (size_t i = kFrame; i < message.size(); i += kFrame) {
    const size_t size = std::min(kFrame, message.size() - i);
    stream += FrameHead(size, NGHTTP2_DATA, size < kFrame ? NGHTTP2_FLAG_END_STREAM : NGHTTP2_FLAG_NONE, kStream) + message.substr(i, size);
  }
  const GrpcLanding landing{
      .room = std::span(room).subspan(at), .missing = message.size() - at, .frame_bytes = kFrame, .frame_left = 10, .stream_id = kStream};
  size_t size = 0;
  for (const asio::mutable_buffer& buffer : input.Prepare(landing)) {
    std::memcpy(buffer.data(), stream.data() + size, buffer.size());
    size += buffer.size();
  }
  ASSERT_EQ(size, stream.size());
  EXPECT_TRUE(room.substr(at) == message.substr(at));
  std::string delivered;
  EXPECT_TRUE(input.Deliver(size, [&](std::string_view bytes) {
    if (bytes.size() != GrpcInput::kFrameHeadBytes) {
      EXPECT_EQ(bytes.data(), room.data() + at);
      at += bytes.size();
    }
    delivered += bytes;
    return true;
  }));
  EXPECT_TRUE(delivered == stream);
}

// Whatever comes is delivered as it came: frames of other sizes, streams, types and flags, cut anywhere.
TEST(GrpcInputTest, NothingIsLostOrMoved) {
  std::mt19937 random(2);
  const auto below = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
  for (int i = 0; i < 3000; ++i) {
    GrpcInput input(kBulk);
    std::string room(below(6 * kFrame), '\0');
    const size_t frame_bytes = below(4) == 0 ? kBulk + below(kBulk) : kFrame - below(2);
    const size_t frame_left = below(3) * below(frame_bytes) / 2;
    const GrpcLanding landing{
        .room = room, .missing = room.size() + below(2) * below(kBulk), .frame_bytes = frame_bytes, .frame_left = frame_left, .stream_id = kStream};
    std::string stream(frame_left, 'a');
    for (size_t left = landing.missing - std::min(landing.missing, frame_left); stream.size() < 8 * kFrame;) {
      const size_t expected = std::min(left, frame_bytes);
      const bool is_other = below(4) == 0;
      const size_t size = is_other ? below(2 * kFrame) : expected;
      const auto pick = [&](auto usual, auto other) { return is_other && below(2) == 0 ? other : usual; };
      stream += FrameHead(size, pick(uint8_t{NGHTTP2_DATA}, uint8_t{NGHTTP2_PING}), pick(uint8_t{0}, static_cast<uint8_t>(below(16))),
                          pick(kStream, kStream + 2));
      stream.append(size, static_cast<char>('b' + below(20)));
      left -= std::min(left, size);
    }
    const std::string sent = stream;
    input.Prepare(landing);
    ASSERT_GT(input.room_bytes(), 0U);
    const std::string delivered = Receive(input, landing, stream, 1 + below(8 * kFrame));
    ASSERT_TRUE(sent == delivered + stream) << i;
  }
}

// The head of a request for kEchoPath.
std::string HeadersFrame(int32_t stream_id) {
  const std::string path(kEchoPath);
  const std::vector<std::pair<std::string, std::string>> fields = {{":method", "POST"}, {":scheme", "http"}, {":path", path},
                                                                   {":authority", "a"}, {"te", "trailers"},  {"content-type", "application/grpc"}};
  std::vector<nghttp2_nv> values;
  for (const auto& [name, value] : fields) {
    values.push_back({.name = reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
                      .value = reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())),
                      .namelen = name.size(),
                      .valuelen = value.size(),
                      .flags = NGHTTP2_NV_FLAG_NONE});
  }
  nghttp2_hd_deflater* deflater = nullptr;
  EXPECT_EQ(nghttp2_hd_deflate_new(&deflater, 0), 0);
  std::string block(1000, '\0');
  const ssize_t size = nghttp2_hd_deflate_hd(deflater, reinterpret_cast<uint8_t*>(block.data()), block.size(), values.data(), values.size());
  nghttp2_hd_deflate_del(deflater);
  block.resize(static_cast<size_t>(size));
  return FrameHead(block.size(), NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, stream_id) + block;
}

// Messages of several calls at once, in frames that are mostly alike, arrive as they were sent, wherever the connection's bytes are cut.
TEST(GrpcInputTest, MessagesSurviveEveryCut) {
  std::mt19937 random(3);
  const auto below = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
  std::vector<std::string> received;
  const auto methods = GrpcMethods::Create({{std::string(kEchoPath),
                                             [&](GrpcCall& call) {
                                               const auto request = call.request()[0];
                                               received.emplace_back(reinterpret_cast<const char*>(request.data()), request.size());
                                               call.AlignNext(request.data() + below(request.size()));
                                               call.Finish(OkStatus());
                                             }}},
                                           {});
  ASSERT_TRUE(methods.ok());
  const GrpcLimits limits;
  for (int i = 0; i < 100; ++i) {
    std::vector<std::string> messages(1 + below(2));
    std::string sent = std::string(NGHTTP2_CLIENT_MAGIC) + FrameHead(0, NGHTTP2_SETTINGS, 0, 0) + FrameHead(0, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0);
    std::vector<std::string> rest;
    for (size_t call = 0; call < messages.size(); ++call) {
      messages[call].resize(1 + below(20 * kFrame));
      std::ranges::generate(messages[call], [&] { return static_cast<char>(random()); });
      rest.push_back(Framed(messages[call]));
      sent += HeadersFrame(static_cast<int32_t>(2 * call + 1));
    }
    const size_t usual = below(5) == 0 ? 3 * kBulk : kFrame + below(2 * kFrame);
    for (size_t call = 0; std::ranges::any_of(rest, [](const std::string& left) { return !left.empty(); });) {
      if (rest[call].empty() || below(8) == 0) call = below(rest.size());
      if (rest[call].empty()) continue;
      const size_t size = std::min(rest[call].size(), below(10) == 0 ? 1 + below(usual) : usual);
      const bool is_last = size == rest[call].size();
      sent += FrameHead(size, NGHTTP2_DATA, is_last ? NGHTTP2_FLAG_END_STREAM : 0, static_cast<int32_t>(2 * call + 1)) + rest[call].substr(0, size);
      rest[call].erase(0, size);
      if (below(10) == 0) sent += FrameHead(8, NGHTTP2_PING, 0, 0) + "12345678";
    }
    received.clear();
    TlsPort plain("test", TlsProtocol::kGrpc, nullptr);
    RefusalCounts refusals;
    GrpcLoop loop(*methods, limits, plain, refusals, std::make_shared<InFlightBytes>());
    {
      GrpcSession session(loop, [] {}, TimePoint{});
      ASSERT_TRUE(session.FillOutput());  // the settings with its windows, which the client has acknowledged
      const size_t most = 1 + below(below(2) == 0 ? 20 : 3 * kBulk);
      while (!sent.empty()) {
        size_t size = 0;
        for (const asio::mutable_buffer& buffer : loop.input().Prepare(session.landing())) {
          const size_t step = std::min({buffer.size(), most - size, sent.size()});
          std::memcpy(buffer.data(), sent.data(), step);
          sent.erase(0, step);
          size += step;
          if (size == most || sent.empty()) break;
        }
        ASSERT_TRUE(loop.input().Deliver(size, [&](std::string_view bytes) { return session.Receive(bytes, TimePoint{}); }));
      }
    }
    std::ranges::sort(received);
    std::ranges::sort(messages);
    ASSERT_EQ(received.size(), messages.size()) << i;
    ASSERT_TRUE(received == messages) << i;
  }
}

}  // namespace
}  // namespace tflite_serving
