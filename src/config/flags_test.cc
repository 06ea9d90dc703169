#include "config/flags.h"

#include <algorithm>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/flag_table.h"

namespace tflite_serving {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using Action = ParsedFlags::Action;

StatusOr<ParsedFlags> Parse(const std::vector<const char*>& arguments) { return ParseFlags(arguments); }

// The options of a command line that is right but for its missing base path.
ServerOptions Options(std::vector<const char*> arguments) {
  arguments.push_back("--model_base_path=/m");
  StatusOr<ParsedFlags> parsed = ParseFlags(arguments);
  EXPECT_TRUE(parsed.ok()) << parsed.status().ToString();
  return parsed.ok() ? parsed->options : ServerOptions();
}

std::string Error(std::vector<const char*> arguments) {
  arguments.push_back("--model_base_path=/m");
  return ParseFlags(arguments).status().ToString();
}

TEST(FlagsTest, ReadsEveryType) {
  const ServerOptions options = Options({"--port=9000", "--max_body_bytes=1099511627776", "--grpc_socket_path=/run/grpc.sock", "--keep_state=true",
                                         "--log_level=warning", "--rest_api_timeout_in_ms=-1"});
  EXPECT_EQ(options.port, 9000);
  EXPECT_EQ(options.max_body_bytes, int64_t{1} << 40);
  EXPECT_EQ(options.grpc_socket_path, "/run/grpc.sock");
  EXPECT_TRUE(options.keep_state);
  EXPECT_EQ(options.log_level, LogLevel::kWarning);
  EXPECT_EQ(options.rest_api_timeout_in_ms, -1);
  EXPECT_EQ(options.model_base_path, "/m");
}

TEST(FlagsTest, TheDefaultsAreTheOriginals) {
  const ServerOptions options = Options({});
  EXPECT_EQ(options.port, 8500);
  EXPECT_EQ(options.rest_api_port, 0);
  EXPECT_EQ(options.rest_api_timeout_in_ms, 30000);
  EXPECT_EQ(options.model_name, "default");
  EXPECT_EQ(options.max_body_bytes, 268435456);
  EXPECT_EQ(options.grpc_max_message_bytes, 2147483647);
  EXPECT_EQ(options.model_config_file_poll_wait_seconds, 0);
  EXPECT_EQ(options.file_system_poll_wait_seconds, 1);
  EXPECT_EQ(options.max_num_load_retries, 5);
  EXPECT_EQ(options.load_retry_interval_micros, 60000000);
  EXPECT_EQ(options.num_load_threads, 0);
  EXPECT_TRUE(options.enable_model_warmup);
  EXPECT_EQ(options.num_request_iterations_for_warmup, 0);
  EXPECT_FALSE(options.allow_version_labels_for_unavailable_models);
  EXPECT_EQ(options.log_level, LogLevel::kInfo);
  EXPECT_FALSE(options.keep_state);
  EXPECT_FALSE(options.enable_serialization_as_tensor_content);
}

TEST(FlagsTest, TheLastOfARepeatedFlagCounts) {
  EXPECT_EQ(Options({"--port=1", "--port=2", "--port=3"}).port, 3);
  EXPECT_EQ(Options({"--keep_state", "--keep_state=false"}).keep_state, false);
  EXPECT_EQ(Options({"--model_name=a", "--model_name=b"}).model_name, "b");
  EXPECT_THAT(Options({"--grpc_channel_arguments=a=1", "--grpc_channel_arguments="}).grpc_channel_arguments, IsEmpty());
}

TEST(FlagsTest, ABoolIsBareOrTrueOrFalse) {
  EXPECT_TRUE(Options({"--keep_state"}).keep_state);
  EXPECT_TRUE(Options({"--keep_state=true"}).keep_state);
  EXPECT_FALSE(Options({"--keep_state=false"}).keep_state);
  for (const char* wrong : {"1", "yes", "True", "FALSE", ""}) {
    EXPECT_EQ(Error({(std::string("--keep_state=") + wrong).c_str()}),
              std::string("INVALID_ARGUMENT: --keep_state=") + wrong + ": expected true or false");
  }
}

TEST(FlagsTest, AnIntegerIsDecimalAndInRange) {
  EXPECT_EQ(Options({"--port=0", "--grpc_socket_path=s"}).port, 0);
  EXPECT_EQ(Options({"--port=65535"}).port, 65535);
  for (const char* wrong : {"abc", "", "-1", "65536", "8500x", " 8500", "8500 ", "+8500", "0x10", "8.5e3", "99999999999999999999"}) {
    EXPECT_EQ(Error({(std::string("--port=") + wrong).c_str()}),
              std::string("INVALID_ARGUMENT: --port=") + wrong + ": expected an integer between 0 and 65535");
  }
  EXPECT_EQ(Options({"--grpc_max_message_bytes=2147483647"}).grpc_max_message_bytes, 2147483647);
  EXPECT_EQ(Error({"--grpc_max_message_bytes=2147483648"}),
            "INVALID_ARGUMENT: --grpc_max_message_bytes=2147483648: expected an integer between 1 and 2147483647");
  EXPECT_EQ(Error({"--max_body_bytes=0"}), "INVALID_ARGUMENT: --max_body_bytes=0: expected an integer between 1 and 9223372036854775807");
  EXPECT_EQ(Error({"--load_retry_interval_micros=many"}), "INVALID_ARGUMENT: --load_retry_interval_micros=many: expected an integer");
}

TEST(FlagsTest, TextIsTakenAsItIs) {
  EXPECT_EQ(Options({"--model_name=a=b --c"}).model_name, "a=b --c");
  EXPECT_EQ(Options({"--bind_address="}).bind_address, "");
}

TEST(FlagsTest, LogLevelsHaveNames) {
  EXPECT_EQ(Options({"--log_level=debug"}).log_level, LogLevel::kDebug);
  EXPECT_EQ(Options({"--log_level=info"}).log_level, LogLevel::kInfo);
  EXPECT_EQ(Options({"--log_level=error"}).log_level, LogLevel::kError);
  EXPECT_EQ(Error({"--log_level=loud"}), "INVALID_ARGUMENT: --log_level=loud: expected debug, info, warning or error");
}

TEST(FlagsTest, ChannelArgumentsAreNumbersWhereTheyReadAsSuch) {
  EXPECT_THAT(Options({"--grpc_channel_arguments=grpc.max_connection_age_ms=2000,grpc.name=x=y,big=2147483648,neg=-5,empty="}).grpc_channel_arguments,
              ElementsAre(GrpcChannelArgument{"grpc.max_connection_age_ms", 2000}, GrpcChannelArgument{"grpc.name", "x=y"},
                          GrpcChannelArgument{"big", "2147483648"}, GrpcChannelArgument{"neg", -5}, GrpcChannelArgument{"empty", ""}));
  EXPECT_THAT(Options({"--grpc_channel_arguments="}).grpc_channel_arguments, IsEmpty());
  for (const char* wrong : {"a", "a=1,b", "=1", "a=1,", ",a=1", "a=1,,b=2"}) {
    EXPECT_EQ(Error({(std::string("--grpc_channel_arguments=") + wrong).c_str()}),
              std::string("INVALID_ARGUMENT: --grpc_channel_arguments=") + wrong + ": expected key=value,key=value");
  }
}

TEST(FlagsTest, AnUnknownFlagNamesTheNearest) {
  EXPECT_EQ(Error({"--rest_api_prot=8501"}), "INVALID_ARGUMENT: unknown flag --rest_api_prot; did you mean --rest_api_port?");
  EXPECT_EQ(Error({"--rest-api-port=8501"}), "INVALID_ARGUMENT: unknown flag --rest-api-port; did you mean --rest_api_port?");
  EXPECT_EQ(Error({"--enable_batchin"}), "INVALID_ARGUMENT: unknown flag --enable_batchin; did you mean --enable_batching?");
  EXPECT_EQ(Error({"--flavour=x"}), "INVALID_ARGUMENT: unknown flag --flavour; --help lists all flags");
  EXPECT_EQ(Error({"--"}), "INVALID_ARGUMENT: unknown flag --; --help lists all flags");
  EXPECT_EQ(Error({"--=5"}), "INVALID_ARGUMENT: unknown flag --; --help lists all flags");
}

TEST(FlagsTest, AValueAfterASpaceSaysHowToWriteIt) {
  EXPECT_EQ(Error({"--port", "8500"}), "INVALID_ARGUMENT: --port: no value; write --port=8500");
  EXPECT_EQ(Error({"--rest_api_timeout_in_ms", "-1"}), "INVALID_ARGUMENT: --rest_api_timeout_in_ms: no value; write --rest_api_timeout_in_ms=-1");
  EXPECT_EQ(Error({"--port", "--keep_state"}),
            "INVALID_ARGUMENT: --port: no value; write --port=VALUE, where VALUE is an integer between 0 and 65535");
  EXPECT_EQ(Parse({"--model_name"}).status(), InvalidArgumentError("--model_name: no value; write --model_name=VALUE, where VALUE is text"));
  EXPECT_EQ(Error({"--keep_state", "false"}), "INVALID_ARGUMENT: unexpected argument false; write --keep_state=false");
}

TEST(FlagsTest, AStrayWordIsNamed) {
  EXPECT_EQ(Error({"models/digits"}), "INVALID_ARGUMENT: unexpected argument \"models/digits\"; flags are written --name=value");
  EXPECT_EQ(Error({"--keep_state", "8"}), "INVALID_ARGUMENT: unexpected argument \"8\"; flags are written --name=value");
  EXPECT_EQ(Error({"--keep_state=true", "true"}), "INVALID_ARGUMENT: unexpected argument \"true\"; flags are written --name=value");
  EXPECT_EQ(Error({"true"}), "INVALID_ARGUMENT: unexpected argument \"true\"; flags are written --name=value");
  EXPECT_EQ(Error({""}), "INVALID_ARGUMENT: unexpected argument \"\"; flags are written --name=value");
  EXPECT_EQ(Error({"-"}), "INVALID_ARGUMENT: unexpected argument \"-\"; flags are written --name=value");
}

TEST(FlagsTest, ASingleDashSaysThereAreTwo) {
  EXPECT_EQ(Error({"-port=8500"}), "INVALID_ARGUMENT: -port=8500: flags start with two dashes; write --port=8500");
}

TEST(FlagsTest, TheFirstErrorIsReported) {
  EXPECT_EQ(Error({"--flavour", "--port=x", "stray"}), "INVALID_ARGUMENT: unknown flag --flavour; --help lists all flags");
}

TEST(FlagsTest, IgnoredFlagsAreNotedOnce) {
  const StatusOr<ParsedFlags> parsed = Parse({"--model_base_path=/m", "--xla_cpu_compilation_enabled", "--per_process_gpu_memory_fraction=0.5",
                                              "--per_process_gpu_memory_fraction=0.6", "--saved_model_tags=serve,gpu"});
  ASSERT_TRUE(parsed.ok()) << parsed.status().ToString();
  EXPECT_THAT(parsed->notices, ElementsAre("--per_process_gpu_memory_fraction has no effect: models run on the CPU",
                                           "--saved_model_tags has no effect: a .tflite file has no tags",
                                           "--xla_cpu_compilation_enabled has no effect: models run on LiteRT, without XLA"));
  EXPECT_THAT(Parse({"--model_base_path=/m", "--port=1"})->notices, IsEmpty());
}

TEST(FlagsTest, IgnoredFlagsAreStillReadCarefully) {
  EXPECT_EQ(Error({"--per_process_gpu_memory_fraction=half"}), "INVALID_ARGUMENT: --per_process_gpu_memory_fraction=half: expected a number");
  EXPECT_EQ(Error({"--enable_profiler=no"}), "INVALID_ARGUMENT: --enable_profiler=no: expected true or false");
  EXPECT_EQ(Error({"--num_unload_threads", "3"}), "INVALID_ARGUMENT: --num_unload_threads: no value; write --num_unload_threads=3");
}

TEST(FlagsTest, AFlagThatIsNotSupportedSaysSo) {
  EXPECT_EQ(Error({"--use_alts_credentials"}), "UNIMPLEMENTED: --use_alts_credentials: not supported: ALTS works only inside Google's cloud");
  // Before anything is said of the base path, which is missing too.
  EXPECT_EQ(Parse({"--use_alts_credentials=true"}).status().code(), StatusCode::kUnimplemented);
}

TEST(FlagsTest, AFlagThatIsNotSupportedMayAskForNothing) {
  const StatusOr<ParsedFlags> parsed = Parse({"--model_base_path=/m", "--use_alts_credentials=false"});
  ASSERT_TRUE(parsed.ok()) << parsed.status().ToString();
  EXPECT_THAT(parsed->notices, IsEmpty());
}

TEST(FlagsTest, BatchingOfEachModelWithoutBatchingIsNoticed) {
  const auto notices = [](std::vector<const char*> arguments) {
    arguments.insert(arguments.end(), {"--model_base_path=/m", "--enable_per_model_batching_parameters"});
    return Parse(arguments)->notices;
  };
  EXPECT_THAT(notices({}), ElementsAre("--enable_per_model_batching_parameters has no effect: --enable_batching is not given"));
  EXPECT_THAT(notices({"--enable_batching"}), IsEmpty());
}

TEST(FlagsTest, RangesOfLoading) {
  EXPECT_EQ(Options({"--reload_timeout_seconds=86400"}).reload_timeout_seconds, 86400);
  EXPECT_THAT(Error({"--reload_timeout_seconds=0"}), EndsWith("expected an integer between 1 and 86400"));
  EXPECT_THAT(Error({"--reload_timeout_seconds=86401"}), EndsWith("expected an integer between 1 and 86400"));
  EXPECT_THAT(Error({"--max_num_load_retries=-1"}), EndsWith("expected an integer between 0 and 2147483647"));
  EXPECT_EQ(Options({"--load_retry_interval_micros=-1"}).load_retry_interval_micros, -1);
  EXPECT_EQ(Options({"--model_config_file_poll_wait_seconds=-1"}).model_config_file_poll_wait_seconds, -1);
}

TEST(FlagsTest, OnlyTheLastOfAFlagThatIsNotSupportedCounts) {
  EXPECT_EQ(Error({"--use_alts_credentials", "--use_alts_credentials=false"}), "OK");
  EXPECT_EQ(Error({"--use_alts_credentials=false", "--use_alts_credentials"}),
            "UNIMPLEMENTED: --use_alts_credentials: not supported: ALTS works only inside Google's cloud");
}

TEST(FlagsTest, TheOptionsAreCheckedTogether) {
  EXPECT_EQ(Error({"--port=8501", "--rest_api_port=8501"}), "INVALID_ARGUMENT: --port and --rest_api_port must differ, and both are 8501");
  EXPECT_THAT(Parse({}).status().message(), StartsWith("Both server_options.model_base_path and server_options.model_config_file are empty!"));
}

TEST(FlagsTest, HelpAndVersionWinOverErrors) {
  for (const char* help : {"--help", "--help=true", "-h"}) {
    const StatusOr<ParsedFlags> parsed = Parse({"--flavour", help, "--use_alts_credentials", "stray"});
    ASSERT_TRUE(parsed.ok()) << help;
    EXPECT_EQ(parsed->action, Action::kShowHelp) << help;
  }
  EXPECT_EQ(Parse({"--version"})->action, Action::kShowVersion);
  EXPECT_EQ(Parse({"--help", "--version"})->action, Action::kShowVersion);
  EXPECT_EQ(Parse({"--model_base_path=/m", "--version=false", "--help=false"})->action, Action::kServe);
}

TEST(FlagsTest, EachFlagCanBeGivenWithTheDefaultThatHelpShows) {
  const std::string help = HelpText();
  int given = 0;
  for (size_t start = help.find("\n  --"); start != std::string::npos; start = help.find("\n  --", start + 1)) {
    std::string argument = help.substr(start + 3, help.find(' ', start + 3) - start - 3);
    if (argument.ends_with("=\"\"")) argument.resize(argument.size() - 2);
    if (argument == "--help" || argument == "--version" || argument == "--model_base_path=") continue;
    EXPECT_EQ(Error({argument.c_str()}), "OK") << argument;
    ++given;
  }
  EXPECT_EQ(given, static_cast<int>(FlagTable().size()) - 3);
}

TEST(FlagsTest, HelpIsGroupedAndAligned) {
  const std::string help = HelpText();
  EXPECT_THAT(help,
              HasSubstr("\nREST:\n"
                        "  --rest_api_port=0                     integer  TCP port for REST; 0: none\n"
                        "  --rest_api_socket_path=\"\"             text     path of a Unix socket for REST; empty: none\n"
                        "  --rest_api_num_threads=0              integer  threads for REST; 0: by the number of CPUs\n"
                        "  --rest_api_timeout_in_ms=30000        integer  time limit of a REST request; 0 or less: none\n"
                        "  --rest_api_enable_cors_support=false  bool     CORS headers: pages of any origin may use the REST API\n"
                        "  --rest_api_min_gzip_bytes=14336       integer  smallest REST response that is gzipped for who accepts it; 0: none is\n"
                        "  --max_body_bytes=268435456            integer  largest REST request body, as sent and inflated\n"));
  EXPECT_THAT(
      help, HasSubstr("\nProcess:\n"
                      "  --dry_run=false             bool     load what is configured, as a start would, print what it is, and exit; opens no port\n"
                      "  --log_level=info            level    least level that is logged\n"));
  EXPECT_THAT(help, EndsWith("\n"));
}

TEST(FlagsTest, TheVersionIsOneLine) { EXPECT_EQ(VersionText("1.2.3"), "tflite-serving 1.2.3 (the API of TensorFlow Serving 2.20)\n"); }

}  // namespace
}  // namespace tflite_serving
