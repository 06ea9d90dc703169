#include "config/batching_parameters_file.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/temporary_directory.h"

namespace tflite_serving {
namespace {

using ::testing::EndsWith;
using ::testing::StartsWith;

constexpr std::string_view kSyntaxError =
    "INVALID_ARGUMENT: Invalid protobuf file: 'b.config': Error parsing text-format tensorflow.serving.BatchingParameters: ";

// What a text that is right says.
BatchingParameters Parameters(std::string_view text) {
  StatusOr<BatchingParameters> parameters = ParseBatchingParametersText(text, "b.config");
  EXPECT_TRUE(parameters.ok()) << parameters.status().ToString();
  return parameters.ok() ? *std::move(parameters) : BatchingParameters{.max_batch_size = -1};
}

std::string Error(std::string_view text) { return ParseBatchingParametersText(text, "b.config").status().ToString(); }

TEST(BatchingParametersFileTest, ReadsEveryField) {
  const BatchingParameters expected = {.max_batch_size = 128,
                                       .batch_timeout_micros = 1,
                                       .max_enqueued_batches = 1000000,
                                       .allowed_batch_sizes = {32, 128},
                                       .pad_variable_length_inputs = true,
                                       .pad_value = 1.5,
                                       .enable_large_batch_splitting = true,
                                       .max_execution_batch_size = 64,
                                       .num_batch_threads = 8,
                                       .thread_pool_name = "pool"};
  EXPECT_EQ(Parameters(R"(
    # As the original's documents write it.
    max_batch_size { value: 128 }
    batch_timeout_micros { value: 1 }
    max_enqueued_batches: { value: 1000000 }
    num_batch_threads { value: 8 }
    thread_pool_name { value: "pool" }
    allowed_batch_sizes: 32
    allowed_batch_sizes: 128
    pad_variable_length_inputs: true
    enable_large_batch_splitting { value: true }
    max_execution_batch_size { value: 64 }
    pad_value: 1.5
  )"),
            expected);
  EXPECT_EQ(Parameters("max_batch_size { value: 8 }, allowed_batch_sizes: [4, 8]"),
            (BatchingParameters{.max_batch_size = 8, .allowed_batch_sizes = {4, 8}}));
}

TEST(BatchingParametersFileTest, WhatIsNotGivenHasItsDefault) {
  for (const char* empty : {"", "\n", "# nothing\n"}) EXPECT_EQ(Parameters(empty), BatchingParameters());
  EXPECT_EQ(Parameters("max_enqueued_batches { value: 3 }"), BatchingParameters{.max_enqueued_batches = 3});
}

TEST(BatchingParametersFileTest, AMessageWithoutItsValueSaysZero) {
  EXPECT_EQ(Parameters("batch_timeout_micros {} enable_large_batch_splitting {}"), BatchingParameters());
  EXPECT_EQ(Parameters("thread_pool_name {}"), BatchingParameters{.thread_pool_name = ""});
  EXPECT_EQ(Error("max_batch_size {}"), "INVALID_ARGUMENT: input_batch_size_limit must be positive; was 0 (max_batch_size) (in 'b.config')");
}

TEST(BatchingParametersFileTest, ZeroThatIsWrittenIsNotTheServersChoice) {
  EXPECT_EQ(Error("num_batch_threads { value: 0 }"), "INVALID_ARGUMENT: num_batch_threads must be positive; was 0 (in 'b.config')");
  EXPECT_EQ(Error("num_batch_threads { value: -2 }"), "INVALID_ARGUMENT: num_batch_threads must be positive; was -2 (in 'b.config')");
  EXPECT_EQ(Error("max_execution_batch_size { value: 0 }"), "INVALID_ARGUMENT: max_execution_batch_size must be positive; was 0 (in 'b.config')");
}

TEST(BatchingParametersFileTest, AQueueOfNoBatchesHasOneUnlessBatchesAreSplit) {
  EXPECT_EQ(Parameters("max_enqueued_batches { value: 0 }"), BatchingParameters{.max_enqueued_batches = 1});
  EXPECT_EQ(Error("max_enqueued_batches { value: 0 } enable_large_batch_splitting { value: true }"),
            "INVALID_ARGUMENT: max_enqueued_batches must be positive; was 0 (in 'b.config')");
}

TEST(BatchingParametersFileTest, ThePartsFitTogether) {
  EXPECT_EQ(Error("max_batch_size { value: 64 } allowed_batch_sizes: 32"),
            "INVALID_ARGUMENT: Last entry in allowed_batch_sizes must match max_batch_size; last entry was 32; expected 64 (in 'b.config')");
  EXPECT_EQ(Error("allowed_batch_sizes: 32"),
            "INVALID_ARGUMENT: Last entry in allowed_batch_sizes must match max_batch_size; last entry was 32; expected 1000 (in 'b.config')");
  EXPECT_THAT(Error("pad_value: 1"), StartsWith("INVALID_ARGUMENT: pad_value is 1 without setting pad_variable_length_inputs"));
}

TEST(BatchingParametersFileTest, AWrongTextNamesItsPlaceTheFileAndWhatWasExpected) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(Error("max_batch_size: 32"),
            fmt::format("{}1:17: Expected \"{{\", found \"32\". (expected is text like: max_batch_size {{ value: 32 }} batch_timeout_micros {{ "
                        "value: 1000 }} allowed_batch_sizes: [8, 32])",
                        kSyntaxError));
  EXPECT_THAT(
      Error("max_batch_size {\n  value: 8\n}\nmax_size { value: 1 }"),
      StartsWith(fmt::format("{}4:10: Message type \"tensorflow.serving.BatchingParameters\" has no field named \"max_size\".", kSyntaxError)));
  for (const char* cut : {"max_batch_size {", "{}", "max_batch_size { value: 9223372036854775808 }", "allowed_batch_sizes: 'x'"}) {
    EXPECT_THAT(Error(cut), StartsWith(std::string(kSyntaxError))) << cut;
  }
  EXPECT_EQ(Error("thread_pool_name { value: '\\xff' }"), "INVALID_ARGUMENT: Invalid protobuf file: 'b.config': it has a string that is not UTF-8");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");  // libprotobuf's own log
}

TEST(BatchingParametersFileTest, TheExpectedTextIsItselfRight) {
  const std::string error = Error("x");
  const size_t start = error.find("max_batch_size");
  EXPECT_EQ(Parameters(error.substr(start, error.rfind(')') - start)).allowed_batch_sizes.size(), 2U);
}

TEST(BatchingParametersFileTest, FilesAreReadUpToALimit) {
  const TemporaryDirectory directory;
  std::string text = "max_batch_size { value: 7 }";
  text.resize(kMaxBatchingParametersBytes, '\n');
  const std::string path = directory.Write("b.config", text);
  const StatusOr<BatchingParameters> parameters = ReadBatchingParametersFile(path);
  ASSERT_TRUE(parameters.ok()) << parameters.status().ToString();
  EXPECT_EQ(parameters->max_batch_size, 7);
  directory.Write("b.config", text + "\n");
  EXPECT_EQ(ReadBatchingParametersFile(path).status(),
            ResourceExhaustedError(fmt::format("{}: larger than the limit of {} bytes", path, kMaxBatchingParametersBytes)));
  directory.Write("b.config", "x");
  EXPECT_THAT(ReadBatchingParametersFile(path).status().message(), StartsWith(fmt::format("Invalid protobuf file: '{}': Error parsing", path)));
}

TEST(BatchingParametersFileTest, AFileThatCannotBeReadIsNamed) {
  const TemporaryDirectory directory;
  const Status missing = ReadBatchingParametersFile(directory.path() + "/b.config").status();
  EXPECT_EQ(missing.code(), StatusCode::kNotFound);
  EXPECT_THAT(missing.message(), StartsWith(directory.path() + "/b.config; No such file or directory"));
  EXPECT_THAT(ReadBatchingParametersFile(directory.path()).status().ToString(), EndsWith(directory.path() + ": Is a directory"));
}

}  // namespace
}  // namespace tflite_serving
