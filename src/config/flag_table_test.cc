#include "config/flag_table.h"

#include <algorithm>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

using ::testing::Each;
using ::testing::IsSupersetOf;
using ::testing::MatchesRegex;
using ::testing::UnorderedElementsAre;

std::vector<std::string> Names(bool (*wanted)(const Flag&)) {
  std::vector<std::string> names;
  for (const Flag& flag : FlagTable()) {
    if (wanted(flag)) names.emplace_back(flag.name);
  }
  return names;
}

TEST(FlagTableTest, NamesAreUniqueAndSpelledAsFlags) {
  std::vector<std::string> names = Names([](const Flag&) { return true; });
  EXPECT_THAT(names, Each(MatchesRegex("[a-z]+(_[a-z]+)*")));
  std::ranges::sort(names);
  EXPECT_EQ(std::ranges::adjacent_find(names), names.end());
}

TEST(FlagTableTest, EveryFlagOfTheOriginalIsKnown) {
  EXPECT_THAT(Names([](const Flag&) { return true; }), IsSupersetOf({"port",
                                                                     "grpc_socket_path",
                                                                     "rest_api_port",
                                                                     "rest_api_num_threads",
                                                                     "rest_api_timeout_in_ms",
                                                                     "rest_api_enable_cors_support",
                                                                     "enable_batching",
                                                                     "batching_parameters_file",
                                                                     "enable_per_model_batching_parameters",
                                                                     "allow_version_labels_for_unavailable_models",
                                                                     "model_config_file",
                                                                     "model_config_file_poll_wait_seconds",
                                                                     "model_name",
                                                                     "model_base_path",
                                                                     "num_load_threads",
                                                                     "num_unload_threads",
                                                                     "max_num_load_retries",
                                                                     "load_retry_interval_micros",
                                                                     "file_system_poll_wait_seconds",
                                                                     "flush_filesystem_caches",
                                                                     "tensorflow_session_parallelism",
                                                                     "tensorflow_intra_op_parallelism",
                                                                     "tensorflow_inter_op_parallelism",
                                                                     "tensorflow_session_config_file",
                                                                     "platform_config_file",
                                                                     "per_process_gpu_memory_fraction",
                                                                     "saved_model_tags",
                                                                     "use_alts_credentials",
                                                                     "ssl_config_file",
                                                                     "grpc_channel_arguments",
                                                                     "grpc_max_threads",
                                                                     "enable_model_warmup",
                                                                     "num_request_iterations_for_warmup",
                                                                     "monitoring_config_file",
                                                                     "remove_unused_fields_from_bundle_metagraph",
                                                                     "prefer_tflite_model",
                                                                     "num_tflite_pools",
                                                                     "num_tflite_interpreters_per_pool",
                                                                     "enable_signature_method_name_check",
                                                                     "xla_cpu_compilation_enabled",
                                                                     "xla_gpu_compilation_enabled",
                                                                     "enable_profiler",
                                                                     "thread_pool_factory_config_file",
                                                                     "mixed_precision",
                                                                     "skip_initialize_tpu",
                                                                     "enable_grpc_healthcheck_service",
                                                                     "enable_serialization_as_tensor_content",
                                                                     "version"}));
}

// Whoever reads such a field casts without looking.
TEST(FlagTableTest, RangesFitTheirFields) {
  for (const Flag& flag : FlagTable()) {
    EXPECT_LT(flag.range.min, flag.range.max) << flag.name;
    if (!std::holds_alternative<int32_t ServerOptions::*>(flag.target)) continue;
    EXPECT_GE(flag.range.min, std::numeric_limits<int32_t>::min()) << flag.name;
    EXPECT_LE(flag.range.max, std::numeric_limits<int32_t>::max()) << flag.name;
  }
}

TEST(FlagTableTest, DefaultsAreWithinTheirRanges) {
  const ServerOptions defaults;
  for (const Flag& flag : FlagTable()) {
    int64_t value = 0;
    if (const auto* small = std::get_if<int32_t ServerOptions::*>(&flag.target)) {
      value = defaults.*(*small);
    } else if (const auto* large = std::get_if<int64_t ServerOptions::*>(&flag.target)) {
      value = defaults.*(*large);
    } else {
      continue;
    }
    EXPECT_GE(value, flag.range.min) << flag.name;
    EXPECT_LE(value, flag.range.max) << flag.name;
  }
}

TEST(FlagTableTest, HelpIsOneLineWithoutAFullStop) {
  for (const Flag& flag : FlagTable()) EXPECT_THAT(std::string(flag.help), MatchesRegex("[^\n]*[^\n.]")) << flag.name;
}

TEST(FlagTableTest, TheOthersAreGroupedAsWhatTheyAre) {
  for (const Flag& flag : FlagTable()) {
    EXPECT_EQ(std::holds_alternative<IgnoredFlag>(flag.target), flag.group == FlagGroup::kIgnored) << flag.name;
    EXPECT_EQ(std::holds_alternative<NotSupportedFlag>(flag.target), flag.group == FlagGroup::kNotSupported) << flag.name;
  }
  EXPECT_TRUE(std::ranges::is_sorted(FlagTable(), {}, &Flag::group));
  EXPECT_THAT(Names([](const Flag& flag) { return std::holds_alternative<ActionFlag>(flag.target); }), UnorderedElementsAre("help", "version"));
}

}  // namespace
}  // namespace tflite_serving
