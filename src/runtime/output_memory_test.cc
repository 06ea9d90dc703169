#include "runtime/output_memory.h"

#include <cstdint>
#include <cstring>
#include <utility>

#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

bool IsAligned(const std::byte* data) { return reinterpret_cast<uintptr_t>(data) % kTensorAlignment == 0; }

TEST(OutputMemoryTest, GrowsAndStays) {
  OutputMemory memory;
  ASSERT_TRUE(memory.Fit(1000));
  const std::byte* data = memory.data();
  EXPECT_TRUE(IsAligned(data));
  std::memset(memory.data(), 1, 1000);
  ASSERT_TRUE(memory.Fit(10));
  EXPECT_EQ(memory.data(), data);
  ASSERT_TRUE(memory.Fit(1 << 20));
  std::memset(memory.data(), 1, 1 << 20);
  EXPECT_FALSE(memory.is_reserved());
}

TEST(OutputMemoryTest, AReservedOneIsWritableFarBeyondAnyGuess) {
  StatusOr<OutputMemory> memory = OutputMemory::Reserve();
  ASSERT_TRUE(memory.ok()) << memory.status().ToString();
  EXPECT_TRUE(memory->is_reserved());
  EXPECT_TRUE(IsAligned(memory->data()));
  EXPECT_TRUE(memory->Fit(kMaxTensorBytes));
  EXPECT_FALSE(memory->Fit(OutputMemory::kReservedBytes + 1));
  memory->data()[OutputMemory::kReservedBytes - 1] = std::byte{1};
  EXPECT_EQ(memory->data()[0], std::byte{0});
}

TEST(OutputMemoryTest, Moves) {
  OutputMemory reserved = *OutputMemory::Reserve();
  const std::byte* data = reserved.data();
  OutputMemory moved;
  moved = std::move(reserved);
  EXPECT_EQ(moved.data(), data);
  EXPECT_TRUE(moved.is_reserved());
  const OutputMemory again(std::move(moved));
  EXPECT_TRUE(again.is_reserved());
}

}  // namespace
}  // namespace tflite_serving
