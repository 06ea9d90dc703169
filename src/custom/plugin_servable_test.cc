#include "custom/plugin_servable.h"

#include <cstring>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/clock.h"
#include "servable/fake_servable.h"

namespace tflite_serving {
namespace {

using ::testing::HasSubstr;

std::string Library(const std::string& name) { return std::string(TEST_PLUGINS) + "/lib" + name + ".so"; }

StatusOr<std::unique_ptr<PluginServable>> TryLoad(const std::string& library, const std::string& load,
                                                  std::function<StatusOr<ServableHandle>(const std::string&)> open_model = {}) {
  return PluginServable::Load({"m", 3}, {.module_path = Library(library),
                                         .servable_path = "/models/m/3",
                                         .parameters = {{"another", "1"}, {"load", load}},
                                         .open_model = std::move(open_model)});
}

std::unique_ptr<PluginServable> Load(const std::string& load, std::function<StatusOr<ServableHandle>(const std::string&)> open_model = {}) {
  StatusOr<std::unique_ptr<PluginServable>> servable = TryLoad("test_plugin", load, std::move(open_model));
  EXPECT_TRUE(servable.ok()) << servable.status().ToString();
  return servable.ok() ? *std::move(servable) : nullptr;
}

// What came of a run of one tensor: its status, or the bytes of its output.
struct Outcome {
  int calls = 0;
  Status status;
  std::string bytes;
  const std::byte* data = nullptr;
};

Outcome RunOne(PluginServable& servable, size_t signature, const TensorView& input, TimePoint deadline = kNoDeadline) {
  Outcome outcome;
  servable.Run({.signature = &servable.signatures()[signature], .inputs = std::span(&input, 1), .deadline = deadline},
               [&](const Status& status, std::span<const TensorView> outputs) {
                 ++outcome.calls;
                 outcome.status = status;
                 if (!status.ok()) return;
                 outcome.data = outputs[0].bytes.data();
                 outcome.bytes.assign(reinterpret_cast<const char*>(outputs[0].bytes.data()), outputs[0].bytes.size());
               });
  EXPECT_EQ(outcome.calls, 1);
  return outcome;
}

Outcome RunFloats(PluginServable& servable, std::vector<float> values, TimePoint deadline = kNoDeadline) {
  return RunOne(servable, 0, {DType::kFloat, {static_cast<int64_t>(values.size())}, std::as_bytes(std::span(values))}, deadline);
}

TEST(PluginServableTest, AnswersWhereItsTensorsAre) {
  const auto servable = Load("");
  ASSERT_EQ(servable->signatures().size(), 2u);
  EXPECT_EQ(servable->signatures()[0].ToString(), "serving_default: x float[?] -> y float[?]");
  EXPECT_EQ(servable->signatures()[1].ToString(), "text: text string[?] -> text string[?]");
  EXPECT_TRUE(servable->batchable(0));
  EXPECT_FALSE(servable->RunsInline(1));
  const std::vector<float> values = {0, 5};
  const Outcome outcome = RunOne(*servable, 0, {DType::kFloat, {2}, std::as_bytes(std::span(values))});
  EXPECT_TRUE(outcome.status.ok()) << outcome.status.ToString();
  EXPECT_EQ(outcome.data, std::as_bytes(std::span(values)).data()) << "a copy";
}

TEST(PluginServableTest, StringsAreChecked) {
  const auto servable = Load("");
  StringTensorBuilder builder;
  ASSERT_TRUE(builder.Start(2).ok());
  ASSERT_TRUE(builder.Add("hello").ok());
  const AlignedBuffer two = builder.Finish();
  EXPECT_EQ(RunOne(*servable, 1, {DType::kString, {2}, two.bytes()}).bytes.size(), two.size());
  ASSERT_TRUE(builder.Start(3).ok());
  const AlignedBuffer three = builder.Finish();
  EXPECT_EQ(RunOne(*servable, 1, {DType::kString, {3}, three.bytes()}).status,
            InternalError("output \"text\": string tensor: a buffer of 8 bytes does not hold 3 strings"));
}

TEST(PluginServableTest, WhatItAnswersIsChecked) {
  const auto servable = Load("");
  EXPECT_EQ(RunFloats(*servable, {1}).status, InternalError("output \"y\": expected float[?], got float[1,0] of 4 bytes"));
  EXPECT_EQ(RunFloats(*servable, {2}).status, InternalError("output \"y\": expected float[?], got int32[1] of 4 bytes"));
  EXPECT_EQ(RunFloats(*servable, {3}).status, InternalError("output \"y\": expected float[?], got float[1] of 3 bytes"));
  EXPECT_EQ(RunFloats(*servable, {4}).status, InternalError("the plug-in answered nothing: its predict returned without emit"));
  EXPECT_EQ(RunFloats(*servable, {7}).status, InternalError("the plug-in gave \"y\" -1 dimensions"));
  EXPECT_EQ(RunFloats(*servable, {8}).status, InternalError("the plug-in gave \"y\" no data"));
}

TEST(PluginServableTest, ItsErrorsAreItsOwn) {
  const auto servable = Load("");
  EXPECT_EQ(RunFloats(*servable, {5}).status, NotFoundError("nothing there"));
  EXPECT_EQ(RunFloats(*servable, {6}).status, InternalError("failed with code 99 and gave no reason"));
  EXPECT_EQ(RunFloats(*servable, {9}).status, CancelledError("cancelled: 0"));
  EXPECT_EQ(RunFloats(*servable, {9}, Clock::Steady().Now()).status, CancelledError("cancelled: 1"));
}

TEST(PluginServableTest, RunsModels) {
  std::string opened;
  const auto servable = Load("model", [&opened](const std::string& path) -> StatusOr<ServableHandle> {
    opened = path;
    return ServableHandle(std::make_shared<FakeServable>(ServableId{"m", 3}, std::vector{IdentitySignature(DType::kFloat, {-1})}));
  });
  EXPECT_EQ(opened, "model.tflite");
  const Outcome outcome = RunFloats(*servable, {2, 4});
  EXPECT_TRUE(outcome.status.ok()) << outcome.status.ToString();
  EXPECT_EQ(outcome.bytes.size(), 2 * sizeof(float));
  EXPECT_EQ(RunFloats(*servable, {9}).status, InternalError("the model has no signature number 7"));
  EXPECT_EQ(RunFloats(*servable, {10}).status.code(), StatusCode::kInvalidArgument);
}

TEST(PluginServableTest, LoadsThatFail) {
  const std::string plugin = Library("test_plugin");
  const auto error = [](const std::string& load) { return TryLoad("test_plugin", load).status(); };
  EXPECT_EQ(error("fail"), FailedPreconditionError(plugin + ": no luck with m 3 in /models/m/3"));
  EXPECT_EQ(error("none"), InvalidArgumentError(plugin + ": the plug-in has no signature"));
  EXPECT_EQ(error("twice"), InvalidArgumentError(plugin + ": two signatures of the plug-in are called \"a\""));
  EXPECT_EQ(error("int4"), InvalidArgumentError(plugin + ": signature \"a\": four cannot be of type int4"));
  EXPECT_EQ(error("deep"), InternalError(plugin + ": the plug-in gave \"deep\" 9 dimensions"));
  EXPECT_EQ(error("nameless"), InvalidArgumentError(plugin + ": signature \"a\": an input or output has no name"));
  EXPECT_EQ(TryLoad("test_plugin", "model", [](const std::string&) -> StatusOr<ServableHandle> { return NotFoundError("no such file"); }).status(),
            NotFoundError(plugin + ": no such file"));
}

TEST(PluginServableTest, LibrariesThatAreNone) {
  EXPECT_EQ(TryLoad("none", "").status(), InvalidArgumentError(Library("none") + ": No such file or directory"));
  EXPECT_EQ(TryLoad("test_plugin_of_other_name", "").status(),
            InvalidArgumentError(Library("test_plugin_of_other_name") + " exports no function tflite_serving_plugin"));
  EXPECT_THAT(TryLoad("test_plugin_of_other_version", "").status().ToString(),
              HasSubstr("was compiled for version 2 of tflite_serving_plugin.h with a struct of 40 bytes; this server takes version 1 with 40"));
  EXPECT_THAT(
      PluginServable::Load({"m", 1}, {.module_path = "/proc/self/maps", .servable_path = "/", .parameters = {}, .open_model = {}}).status().message(),
      HasSubstr("/proc"));
}

}  // namespace
}  // namespace tflite_serving
