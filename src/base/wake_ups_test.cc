#include "base/wake_ups.h"

#include <memory>
#include <optional>
#include <thread>

#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

struct Sleeper : Wakeable {
  void Wake() override { ++wakings; }
  int wakings = 0;
};

TEST(WakeUpsTest, AreAtOnceUnlessPutOff) {
  const auto sleeper = std::make_shared<Sleeper>();
  WakeUps::Wake(sleeper);
  EXPECT_EQ(sleeper->wakings, 1);
  {
    const WakeUps outer;
    {
      const WakeUps inner;
      WakeUps::Wake(sleeper);
    }
    WakeUps::Wake(sleeper);
    EXPECT_EQ(sleeper->wakings, 1) << "put off to the end of the outermost";
  }
  EXPECT_EQ(sleeper->wakings, 2) << "once for both";
  WakeUps::Wake(sleeper);
  EXPECT_EQ(sleeper->wakings, 3);
  EXPECT_EQ(sleeper.use_count(), 1);
}

TEST(WakeUpsTest, OtherThreadsGoOn) {
  const auto sleeper = std::make_shared<Sleeper>();
  const WakeUps here;
  std::jthread([&] { WakeUps::Wake(sleeper); }).join();
  EXPECT_EQ(sleeper->wakings, 1);
}

}  // namespace
}  // namespace tflite_serving
