#include "server/entrypoint.h"

#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

EntrypointArguments Read(const std::vector<const char*>& given, const std::map<std::string, const char*>& environment = {}, bool exists = true) {
  return ReadEntrypoint(
      given,
      [&](const char* name) {
        const auto found = environment.find(name);
        return found == environment.end() ? nullptr : found->second;
      },
      [&](const std::string&) { return exists; });
}

TEST(EntrypointTest, IsKnownByItsName) {
  EXPECT_TRUE(IsEntrypoint("tf_serving_entrypoint"));
  EXPECT_TRUE(IsEntrypoint("/usr/bin/tf_serving_entrypoint.sh"));
  EXPECT_FALSE(IsEntrypoint("/usr/bin/tensorflow_model_server"));
  EXPECT_FALSE(IsEntrypoint(""));
}

TEST(EntrypointTest, ServesWhatTheEnvironmentNames) {
  EXPECT_THAT(Read({}).arguments, ElementsAre("--port=8500", "--rest_api_port=8501", "--model_name=model", "--model_base_path=/models/model"));
  EXPECT_THAT(Read({}, {{"MODEL_NAME", "half"}, {"MODEL_BASE_PATH", "/m"}}, false).arguments,
              ElementsAre("--port=8500", "--rest_api_port=8501", "--model_name=half", "--model_base_path=/m/half"));
  EXPECT_THAT(Read({}, {{"MODEL_NAME", ""}, {"MODEL_BASE_PATH", ""}}).arguments[3], "--model_base_path=/models/model");
}

TEST(EntrypointTest, ArgumentsComeLast) {
  EXPECT_THAT(Read({"--rest_api_port=9000"}).arguments,
              ElementsAre("--port=8500", "--rest_api_port=8501", "--model_name=model", "--model_base_path=/models/model", "--rest_api_port=9000"));
  EXPECT_THAT(Read({"/usr/bin/tf_serving_entrypoint", "--port=1"}).arguments.back(), "--port=1");
  EXPECT_THAT(Read({"tensorflow_model_server", "--port=1"}).arguments, testing::SizeIs(5));
}

TEST(EntrypointTest, TheBundledModelIsForThoseWhoNameNone) {
  const EntrypointArguments bundled = Read({}, {}, false);
  EXPECT_THAT(bundled.arguments[2], "--model_name=digits");
  EXPECT_THAT(bundled.arguments[3], HasSubstr("/models/digits"));
  EXPECT_EQ(bundled.notice, "MODEL_NAME is not set and /models/model does not exist: serving the bundled model digits");
  for (const char* const flag : {"--model_name=m", "--model_base_path=/m", "--model_config_file=/m.config"}) {
    EXPECT_EQ(Read({flag}, {}, false).notice, "") << flag;
    EXPECT_EQ(Read({flag}, {}, false).arguments[2], "--model_name=model") << flag;
  }
}

TEST(EntrypointTest, ACommandIsRunAsItIs) {
  EXPECT_THAT(Read({"inspect", "/m.tflite"}, {}, false).arguments, ElementsAre("inspect", "/m.tflite"));
  EXPECT_THAT(Read({"/usr/bin/tf_serving_entrypoint.sh", "probe"}).arguments, ElementsAre("probe"));
}

}  // namespace
}  // namespace tflite_serving
