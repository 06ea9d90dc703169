#include "transport/in_flight_bytes.h"

#include <string>

#include <gtest/gtest.h>

#include "transport/byte_buffer.h"

namespace tflite_serving {
namespace {

constexpr size_t kLarge = kUncountedBytes + 1;

TEST(InFlightBytesTest, TakesWhatItMayAndNoByteMore) {
  InFlightBytes all(100);
  EXPECT_FALSE(all.TryTake(101));
  EXPECT_TRUE(all.TryTake(50));
  EXPECT_FALSE(all.is_scarce());
  EXPECT_FALSE(all.TryTake(51));
  EXPECT_TRUE(all.TryTake(50));
  EXPECT_TRUE(all.is_scarce());
  EXPECT_FALSE(all.TryTake(1));
  all.Take(1);
  EXPECT_EQ(all.used(), 101U);
  EXPECT_FALSE(all.TryTake(0)) << "more than the limit is there already";
  all.GiveBack(101);
  EXPECT_EQ(all.used(), 0U);
}

TEST(InFlightBytesTest, ASmallBufferIsNotCounted) {
  InFlightBytes all(2 * kLarge);
  InFlightShare share(&all);
  EXPECT_TRUE(share.TrySet(kUncountedBytes));
  EXPECT_EQ(all.used(), 0U);
  EXPECT_TRUE(share.TrySet(kLarge));
  EXPECT_EQ(all.used(), kLarge);
  EXPECT_TRUE(share.TrySet(2 * kLarge));
  EXPECT_FALSE(share.TrySet(2 * kLarge + 1));
  EXPECT_EQ(all.used(), 2 * kLarge);
  share.Set(3 * kLarge);
  EXPECT_EQ(all.used(), 3 * kLarge);
  EXPECT_TRUE(share.TrySet(kUncountedBytes));
  EXPECT_EQ(all.used(), 0U);
}

TEST(InFlightBytesTest, ABufferCountsItsMemoryUntilItIsFreed) {
  InFlightBytes all(4 * kLarge);
  {
    ByteBuffer buffer(&all);
    ASSERT_TRUE(buffer.Append(std::string(kLarge, 'a')));
    EXPECT_EQ(all.used(), buffer.capacity());
    EXPECT_FALSE(buffer.MakeRoom(4 * kLarge)) << "beside what it has";
    EXPECT_EQ(buffer.view(), std::string(kLarge, 'a'));
    buffer.Clear();
    EXPECT_EQ(all.used(), buffer.capacity());

    ByteBuffer other(&all);
    ASSERT_TRUE(other.MakeRoom(2 * kLarge));
    const size_t both = buffer.capacity() + other.capacity();
    other.Swap(buffer);
    EXPECT_EQ(all.used(), both);
    buffer.Free();
    EXPECT_EQ(all.used(), other.capacity());
    ASSERT_TRUE(buffer.MakeRoom(3 * kLarge));
  }
  EXPECT_EQ(all.used(), 0U);
}

}  // namespace
}  // namespace tflite_serving
