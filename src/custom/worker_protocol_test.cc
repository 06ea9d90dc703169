#include "custom/worker_protocol.h"

#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "custom/shared_arena.h"

namespace tflite_serving {
namespace {

using namespace std::string_view_literals;

StatusOr<WorkerReply> Parse(std::string_view frame) { return ParseWorkerReply(std::as_bytes(std::span(frame))); }

constexpr std::string_view kReady =
    "\x65\1\0\1\0\0\0"
    "\1\0\0\0k\0\0\0\0"
    "\1\0\0\0\1\0\0\0x\1\2\xff\xff\xff\xff\xff\xff\xff\xff\4\0\0\0\0\0\0\0"
    "\0\0\0\0"sv;
constexpr std::string_view kResult =
    "\x66\7\0\0\0\0\0\0\0\1\0\0\0"
    "\1\1\3\0\0\0\0\0\0\0\1\x40\0\0\0\0\0\0\0\x0c\0\0\0\0\0\0\0"sv;
constexpr std::string_view kError = "\x67\7\0\0\0\0\0\0\0\3\0\0\0\1\2\0\0\0no"sv;
constexpr std::string_view kAnswer = "\x68\7\0\0\0\0\0\0\0\1\x40\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0"sv;

TEST(WorkerProtocolTest, ReadsWhatAWorkerSays) {
  const auto ready = std::get<WorkerReady>(*Parse(kReady));
  EXPECT_TRUE(ready.takes_tensors);
  EXPECT_FALSE(ready.batchable);
  EXPECT_EQ(ready.signatures.at(0).ToString(), "k: x float[?,4] -> ");
  EXPECT_EQ(ready.signatures.at(0).method_name, kPredictMethodName);
  const auto result = std::get<WorkerResult>(*Parse(kResult));
  EXPECT_EQ(result.id, 7u);
  EXPECT_EQ(result.outputs.at(0).dtype, DType::kFloat);
  EXPECT_EQ(result.outputs.at(0).shape, Shape({3}));
  EXPECT_EQ(result.outputs.at(0).arena, Arena::kOutput);
  EXPECT_EQ(result.outputs.at(0).offset, 64u);
  EXPECT_EQ(result.outputs.at(0).bytes, 12u);
  EXPECT_EQ(std::get<WorkerError>(*Parse(kError)).status, InvalidArgumentError("no"));
  EXPECT_TRUE(std::get<WorkerError>(*Parse(kError)).is_last);
  const auto answer = std::get<WorkerAnswer>(*Parse(kAnswer));
  EXPECT_TRUE(answer.is_error);
  EXPECT_EQ(answer.bytes, 2u);
}

TEST(WorkerProtocolTest, RefusesEveryCutAndWhatIsTooLong) {
  for (const std::string_view whole : {kReady, kResult, kError, kAnswer}) {
    for (size_t size = 0; size < whole.size(); ++size) EXPECT_EQ(Parse(whole.substr(0, size)).status().code(), StatusCode::kInternal) << size;
    EXPECT_EQ(Parse(std::string(whole) + "x").status().code(), StatusCode::kInternal);
  }
}

TEST(WorkerProtocolTest, RefusesWhatNoTensorIs) {
  std::string nine_dimensions(kResult);
  nine_dimensions[14] = 9;
  nine_dimensions.append(size_t{8} * 8, '\0');
  EXPECT_FALSE(Parse(nine_dimensions).ok());
  std::string unknown_type(kResult);
  unknown_type[13] = 99;
  EXPECT_FALSE(Parse(unknown_type).ok());
  EXPECT_EQ(std::get<WorkerError>(*Parse("\x67\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"sv)).status.code(), StatusCode::kInternal) << "OK is no error";
}

TEST(WorkerProtocolTest, WritesWhatAWorkerReads) {
  const std::pair<std::string, std::string> values[] = {{"a", "b"}};
  EXPECT_EQ(LoadFrame(values), "\x13\0\0\0\1\1\0\0\0\1\0\0\0\1\0\0\0a\1\0\0\0b"sv);
  const ArenaTensor input{.dtype = DType::kFloat, .shape = {3}, .offset = 64, .bytes = 12};
  EXPECT_EQ(PredictFrame(7, std::chrono::microseconds(-1), 2, {&input, 1}),
            "\x34\0\0\0\2\7\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\2\0\0\0\1\0\0\0"
            "\1\1\3\0\0\0\0\0\0\0\0\x40\0\0\0\0\0\0\0\x0c\0\0\0\0\0\0\0"sv);
  EXPECT_EQ(CallFrame(7, std::chrono::microseconds(5), 0, 2), "\x21\0\0\0\3\7\0\0\0\0\0\0\0\5\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0"sv);
  EXPECT_EQ(UnloadFrame(), "\1\0\0\0\4"sv);
}

TEST(SharedArenaTest, GrowsAndNeverShrinks) {
  StatusOr<SharedArena> arena = SharedArena::Create("test");
  ASSERT_TRUE(arena.ok());
  EXPECT_EQ(arena->Write(3)->size(), 3u);
  (*arena->Write(3))[2] = std::byte{9};
  EXPECT_EQ((*arena->Write(size_t{9} << 20))[2], std::byte{9});
  EXPECT_EQ(::ftruncate(arena->fd(), 0), -1);
  EXPECT_EQ((*arena->Read(2, 1))[0], std::byte{9});
  EXPECT_FALSE(arena->Write(SharedArena::kMaxBytes + 1).ok());
}

TEST(SharedArenaTest, GivesOnlyWhatIsThere) {
  StatusOr<SharedArena> arena = SharedArena::Create("test");
  ASSERT_TRUE(arena.ok());
  EXPECT_FALSE(arena->Read(0, 1).ok());
  ASSERT_EQ(::ftruncate(arena->fd(), 100), 0);
  EXPECT_TRUE(arena->Read(0, 100).ok());
  EXPECT_TRUE(arena->Read(100, 0).ok());
  EXPECT_FALSE(arena->Read(0, 101).ok());
  EXPECT_FALSE(arena->Read(101, 0).ok());
  EXPECT_FALSE(arena->Read(UINT64_MAX, 2).ok());
  EXPECT_FALSE(arena->Read(2, UINT64_MAX).ok());
}

}  // namespace
}  // namespace tflite_serving
