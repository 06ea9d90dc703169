#include "servable/batching_parameters.h"

#include <limits>

#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

std::string Error(const BatchingParameters& parameters) { return Check(parameters).ToString(); }

TEST(BatchingParametersTest, TheDefaultsAreTheOriginalsAndFitTogether) {
  const BatchingParameters defaults;
  EXPECT_EQ(defaults.max_batch_size, 1000);
  EXPECT_EQ(defaults.batch_timeout_micros, 0);
  EXPECT_EQ(defaults.max_enqueued_batches, 10);
  EXPECT_EQ(defaults.thread_pool_name, "batch_threads");
  EXPECT_EQ(Check(defaults), OkStatus());
}

TEST(BatchingParametersTest, CountsArePositive) {
  EXPECT_EQ(Error({.max_batch_size = 1}), "OK");
  EXPECT_EQ(Error({.max_batch_size = 0}), "INVALID_ARGUMENT: input_batch_size_limit must be positive; was 0 (max_batch_size)");
  EXPECT_EQ(Error({.max_batch_size = -3}), "INVALID_ARGUMENT: input_batch_size_limit must be positive; was -3 (max_batch_size)");
  EXPECT_EQ(Error({.max_enqueued_batches = 1}), "OK");
  EXPECT_EQ(Error({.max_enqueued_batches = 0}), "INVALID_ARGUMENT: max_enqueued_batches must be positive; was 0");
  EXPECT_EQ(Error({.batch_timeout_micros = -1}), "INVALID_ARGUMENT: batch_timeout_micros must be non-negative; was -1");
}

TEST(BatchingParametersTest, ZeroLeavesThreadsAndExecutionSizeToTheServer) {
  EXPECT_EQ(Error({.max_execution_batch_size = 0, .num_batch_threads = 0}), "OK");
  EXPECT_EQ(Error({.num_batch_threads = -1}), "INVALID_ARGUMENT: num_batch_threads must be positive; was -1");
  EXPECT_EQ(Error({.max_execution_batch_size = -1}), "INVALID_ARGUMENT: max_execution_batch_size must be positive; was -1");
}

TEST(BatchingParametersTest, EverythingHasALimit) {
  EXPECT_EQ(Error({.max_batch_size = kMaxBatchingCount,
                   .batch_timeout_micros = kMaxBatchTimeoutMicros,
                   .max_enqueued_batches = kMaxBatchingCount,
                   .num_batch_threads = kMaxBatchThreads}),
            "OK");
  EXPECT_EQ(Error({.max_batch_size = kMaxBatchingCount + 1}), "INVALID_ARGUMENT: max_batch_size must be at most 2147483647; was 2147483648");
  EXPECT_EQ(Error({.batch_timeout_micros = kMaxBatchTimeoutMicros + 1}),
            "INVALID_ARGUMENT: batch_timeout_micros must be at most 86400000000; was 86400000001");
  EXPECT_EQ(Error({.max_enqueued_batches = kMaxBatchingCount + 1}),
            "INVALID_ARGUMENT: max_enqueued_batches must be at most 2147483647; was 2147483648");
  EXPECT_EQ(Error({.num_batch_threads = kMaxBatchThreads + 1}), "INVALID_ARGUMENT: num_batch_threads must be at most 4096; was 4097");
}

TEST(BatchingParametersTest, AllowedSizesAscendToTheLargest) {
  EXPECT_EQ(Error({.max_batch_size = 8, .allowed_batch_sizes = {1, 4, 8}}), "OK");
  EXPECT_EQ(Error({.allowed_batch_sizes = {1000}}), "OK");
  EXPECT_EQ(Error({.allowed_batch_sizes = {8}}),
            "INVALID_ARGUMENT: Last entry in allowed_batch_sizes must match max_batch_size; last entry was 8; expected 1000");
  EXPECT_EQ(Error({.max_batch_size = 8, .allowed_batch_sizes = {4, 4, 8}}),
            "INVALID_ARGUMENT: allowed_batch_sizes entries must be monotonically increasing; 4 is followed by 4");
  EXPECT_EQ(Error({.max_batch_size = 8, .allowed_batch_sizes = {4, 16, 8}}),
            "INVALID_ARGUMENT: allowed_batch_sizes entries must be monotonically increasing; 16 is followed by 8");
  EXPECT_EQ(Error({.max_batch_size = 8, .allowed_batch_sizes = {0, 8}}), "INVALID_ARGUMENT: allowed_batch_sizes entries must be positive; was 0");
}

TEST(BatchingParametersTest, AnExecutionIsNoLargerThanARequestMayBe) {
  EXPECT_EQ(Error({.max_batch_size = 8, .enable_large_batch_splitting = true, .max_execution_batch_size = 8}), "OK");
  EXPECT_EQ(Error({.max_batch_size = 8, .enable_large_batch_splitting = true, .max_execution_batch_size = 9}),
            "INVALID_ARGUMENT: When enable_large_batch_splitting is true, input_batch_size_limit must be greater than or equal to "
            "max_execution_batch_size. max_batch_size is 8, max_execution_batch_size is 9");
  EXPECT_EQ(Error({.max_batch_size = 8, .max_execution_batch_size = 9}), "OK");  // of no effect
}

TEST(BatchingParametersTest, WhatIsPaddedWithIsANumberAndIsUsed) {
  EXPECT_EQ(Error({.pad_variable_length_inputs = true}), "OK");
  EXPECT_EQ(Error({.pad_variable_length_inputs = true, .pad_value = -1.5}), "OK");
  EXPECT_EQ(Error({.pad_value = 1.5}),
            "INVALID_ARGUMENT: pad_value is 1.5 without setting pad_variable_length_inputs to true: nothing would be padded");
  for (const double infinite : {std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()}) {
    EXPECT_EQ(Check({.pad_variable_length_inputs = true, .pad_value = infinite}).code(), StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace tflite_serving
