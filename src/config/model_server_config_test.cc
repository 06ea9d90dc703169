#include "config/model_server_config.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/temporary_directory.h"
#include "config/proto_text.h"

namespace tflite_serving {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr std::string_view kSyntaxError =
    "INVALID_ARGUMENT: Invalid protobuf file: 'm.config': Error parsing text-format tensorflow.serving.ModelServerConfig: ";

// The models of a text that is right and not empty.
std::vector<ModelConfig> Models(std::string_view text) {
  StatusOr<ModelConfigList> models = ParseModelServerConfigText(text, "m.config");
  EXPECT_TRUE(models.ok()) << models.status().ToString();
  EXPECT_TRUE(!models.ok() || models->has_value()) << "nothing is said";
  return models.ok() ? models->value_or(std::vector<ModelConfig>()) : std::vector<ModelConfig>();
}

std::string Error(std::string_view text) { return ParseModelServerConfigText(text, "m.config").status().ToString(); }

// A list of one model, m at /m, that has `fields` too.
std::string One(std::string_view fields) {
  return fmt::format("model_config_list {{\n  config {{\n    name: 'm' base_path: '/m'\n    {}\n  }}\n}}\n", fields);
}

TEST(ModelServerConfigTest, ReadsEveryFieldThatModelsHave) {
  const std::vector<ModelConfig> models = Models(R"(
    # Two models.
    model_config_list: {
      config: {
        name: "digits", base_path: "/models/digits", model_platform: "tensorflow",
        model_version_policy { specific { versions: 42 versions: 43 } }
        version_labels { key: 'stable' value: 42 }
        version_labels { key: 'canary' value: 43 }
      },
      config { name: 'words' base_path: 'file:///models/words.tflite' model_platform: 'tflite' model_version_policy: { latest: { num_versions: 2 } } }
    })");
  ASSERT_THAT(models, SizeIs(2));
  ModelConfig digits;
  digits.name = "digits";
  digits.base_path = "/models/digits";
  digits.version_policy.kind = VersionPolicy::Kind::kSpecific;
  digits.version_policy.versions = {42, 43};
  digits.labels = {{"stable", 42}, {"canary", 43}};
  EXPECT_EQ(models[0], digits);
  EXPECT_EQ(models[1], (ModelConfig{.name = "words", .base_path = "file:///models/words.tflite", .version_policy = {.num_versions = 2}}));
}

TEST(ModelServerConfigTest, TheExampleInTheRepositoryIsRight) {
  const StatusOr<ModelConfigList> models = ReadModelServerConfigFile(TEST_MODELS_DIR "/../../deploy/models.config");
  ASSERT_TRUE(models.ok()) << models.status().ToString();
  EXPECT_THAT(models->value_or(std::vector<ModelConfig>()), SizeIs(2));
}

TEST(ModelServerConfigTest, VersionPolicies) {
  const auto policy = [](std::string_view text) {
    const std::vector<ModelConfig> models = Models(One(fmt::format("model_platform: 'litert' {}", text)));
    return models.empty() ? VersionPolicy{.num_versions = 0} : models[0].version_policy;
  };
  EXPECT_EQ(policy(""), VersionPolicy());
  EXPECT_EQ(policy("model_version_policy {}"), VersionPolicy());
  EXPECT_EQ(policy("model_version_policy { latest {} }"), VersionPolicy());
  EXPECT_EQ(policy("model_version_policy { latest { num_versions: 0 } }"), VersionPolicy());
  EXPECT_EQ(policy("model_version_policy { latest { num_versions: 3 } }"), VersionPolicy{.num_versions = 3});
  EXPECT_EQ(policy("model_version_policy { all {} }"), VersionPolicy{.kind = VersionPolicy::Kind::kAll});
  VersionPolicy specific{.kind = VersionPolicy::Kind::kSpecific};
  EXPECT_EQ(policy("model_version_policy { specific {} }"), specific);
  specific.versions = {7, 5};
  EXPECT_EQ(policy("model_version_policy { specific { versions: [7, 5] } }"), specific);
}

TEST(ModelServerConfigTest, AnEmptyConfigurationSaysNothingAndAnEmptyListAsksForNone) {
  for (const char* empty : {"", "\n", "# nothing\n"}) {
    const StatusOr<ModelConfigList> models = ParseModelServerConfigText(empty, "m.config");
    ASSERT_TRUE(models.ok()) << models.status().ToString();
    EXPECT_EQ(*models, std::nullopt);
  }
  EXPECT_THAT(Models("model_config_list {}"), IsEmpty());
}

TEST(ModelServerConfigTest, ThePlatformIsTheBuiltInRuntime) {
  for (const char* platform : {"tensorflow", "tflite", "litert"}) EXPECT_THAT(Models(One(fmt::format("model_platform: '{}'", platform))), SizeIs(1));
  EXPECT_EQ(Error(One("model_platform: 'pytorch'")),
            "INVALID_ARGUMENT: Model m requests unsupported platform pytorch; there are tensorflow, tflite, litert, custom, plugin (in 'm.config')");
  EXPECT_THAT(Error(One("")), StartsWith("INVALID_ARGUMENT: Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
                                         "ModelServerConfig::model_platform, model name is m"));
}

TEST(ModelServerConfigTest, TheTypeIsANameANumberOrAWord) {
  for (const char* type : {"TENSORFLOW", "1", "\"TENSORFLOW\"", "'TENSORFLOW'", "\n# of old\n\t'TENSORFLOW'", "'TENSOR' \"FLOW\""}) {
    EXPECT_THAT(Models(One(fmt::format("model_type: {}", type))), SizeIs(1)) << type;
  }
  EXPECT_THAT(Error(One("model_type: OTHER")), StartsWith("INVALID_ARGUMENT: ModelServerConfig::model_type choice 2 not supported."));
  EXPECT_THAT(Error(One("model_type: 7")), StartsWith("INVALID_ARGUMENT: ModelServerConfig::model_type choice 7 not supported."));
  EXPECT_THAT(Error(One("model_type: 'OTHER'")), StartsWith("INVALID_ARGUMENT: ModelServerConfig::model_type choice OTHER not supported."));
  EXPECT_THAT(Error(One("model_type: \"tflite\"")), StartsWith("INVALID_ARGUMENT: ModelServerConfig::model_type choice tflite not supported."));
  for (const char* type : {"TENSORFLOW", "OTHER", "'TENSORFLOW'"}) {
    EXPECT_THAT(Error(One(fmt::format("model_type: {} model_platform: 'tensorflow'", type))),
                StartsWith("INVALID_ARGUMENT: Illegal setting both ModelServerConfig::model_type (deprecated) and "
                           "ModelServerConfig::model_platform, model name is m"));
  }
}

TEST(ModelServerConfigTest, OnlyAFieldIsAQuotedType) {
  // In a comment, in a string, behind an escaped quote, without a value of its own: not the field, and the text stays what it is.
  const std::vector<ModelConfig> models = Models(
      "# model_type: 'x\nmodel_config_list { config { name: \"model_type: \\\"x\" base_path: '/model_type:' "
      "model_platform: 'tflite' version_labels { key: 'model_type' value: 1 } } }");
  ASSERT_THAT(models, SizeIs(1));
  EXPECT_EQ(models[0].name, "model_type: \"x");
  EXPECT_EQ(models[0].base_path, "/model_type:");
  EXPECT_THAT(models[0].labels, ElementsAre(Pair("model_type", 1)));
  EXPECT_THAT(
      Error("model_type: 'x'"),
      StartsWith(fmt::format("{}1:11: Message type \"tensorflow.serving.ModelServerConfig\" has no field named \"model_type\".", kSyntaxError)));
  for (const char* cut : {"model_type", "model_type:", "model_type: '", "model_type: '\\", "model_type: ::'x'", "model_type name: 'x'"}) {
    EXPECT_THAT(Error(One(cut)), HasSubstr(fmt::format("{}", kSyntaxError))) << cut;
    EXPECT_THAT(Error(cut), HasSubstr(fmt::format("{}", kSyntaxError))) << cut;
  }
}

TEST(ModelServerConfigTest, CustomServables) {
  // As its users write it, any word as type included.
  const std::string custom = R"(model_config_list: {
    config: {
      name: "m",
      base_path: "/models",
      model_platform: "custom",
      model_type: "tflite_model",
      custom_model_config: { module_path: "/models/model_wrapper.py", model_class_name: "load_servable" },
      model_version_policy { all: {} }
    }
  })";
  const ModelConfig model = Models(custom)[0];
  ASSERT_TRUE(model.load_options.custom);
  EXPECT_EQ(*model.load_options.custom,
            (CustomModel{.base_path = "/models", .module_path = "/models/model_wrapper.py", .model_class_name = "load_servable"}));
  EXPECT_EQ(model.version_policy.kind, VersionPolicy::Kind::kAll);

  const auto with = [](std::string_view more) {
    return One(fmt::format("model_platform: 'custom' custom_model_config {{ module_path: '/m.py' model_class_name: 'C' {} }}", more));
  };
  const CustomModel full =
      *Models(with("instances: 2 virtual_environment: '/v' load_timeout_seconds: 3 request_timeout_seconds: 4 max_memory_mb: 5"))[0]
           .load_options.custom;
  EXPECT_EQ(full.instances, 2);
  EXPECT_EQ(full.virtual_environment, "/v");
  EXPECT_EQ(full.load_timeout_seconds, 3);
  EXPECT_EQ(full.request_timeout_seconds, 4);
  EXPECT_EQ(full.max_memory_mb, 5);
  EXPECT_THAT(Error(with("instances: -1")), HasSubstr("Model m has custom_model_config.instances -1, where 0 to 256 are allowed"));
  EXPECT_THAT(Error(One("model_platform: 'custom'")), HasSubstr("Model m of platform custom has no custom_model_config.module_path"));
  EXPECT_THAT(Error(with("} tflite_options { num_interpreters: 2")), HasSubstr("Model m of platform custom takes no tflite_options"));
}

TEST(ModelServerConfigTest, KeysOfACustomServablesOwn) {
  const auto parameters = [](std::string_view more) {
    return Models(One(fmt::format("model_platform: 'custom' custom_model_config: {{ module_path: '/m.py', model_class_name: 'C', {} }}", more)))[0]
        .load_options.custom->parameters;
  };
  using Map = std::map<std::string, std::string>;
  EXPECT_EQ(parameters("threshold: 0.5, labels: \"a\" 'b' # a comment\n on: true; low: -1e3 parameters { key: 'k' value: 'v' }"),
            (Map{{"threshold", "0.5"}, {"labels", "ab"}, {"on", "true"}, {"low", "-1e3"}, {"k", "v"}}));
  EXPECT_EQ(parameters("path: 'a\\'b}'"), (Map{{"path", "a'b}"}}));
  EXPECT_THAT(Error(One("model_platform: 'custom' custom_model_config { more { a: 1 } }")), HasSubstr("more"));
  EXPECT_THAT(Error(One("model_platform: 'custom' custom_model_config { module_path: 'm.py' model_class_name: 'C' a: }")), HasSubstr(kSyntaxError));
}

TEST(ModelServerConfigTest, PlugIns) {
  const LoadOptions options =
      Models(One("model_platform: 'plugin' custom_model_config { module_path: 'libx.so' white: 255 } tflite_options { num_interpreters: 2 }"))[0]
          .load_options;
  EXPECT_EQ(options.custom,
            (CustomModel{.kind = CustomModel::Kind::kPlugin, .base_path = "/m", .module_path = "libx.so", .parameters = {{"white", "255"}}}));
  EXPECT_EQ(options.tflite.num_interpreters, 2);
  EXPECT_THAT(Error(One("model_platform: 'plugin'")), HasSubstr("Model m of platform plugin has no custom_model_config.module_path"));
  EXPECT_THAT(Error(One("model_platform: 'plugin' custom_model_config { module_path: 'libx.so' instances: 2 }")),
              HasSubstr("what only servables in Python take: instances: 2"));
  EXPECT_THAT(Error(One("model_platform: 'tflite' custom_model_config {}")), HasSubstr("only model_platform: \"custom\" and \"plugin\" take"));
}

TEST(ModelServerConfigTest, TheOriginalsOtherRules) {
  EXPECT_THAT(Error("model_config_list { config { base_path: '/m' model_platform: 'tflite' } }"), HasSubstr("no name; its base_path is \"/m\""));
  EXPECT_THAT(Error("model_config_list { config { name: 'm' base_path: '/1' model_platform: 'tflite' } "
                    "config { name: 'm' base_path: '/2' model_platform: 'tflite' } }"),
              StartsWith("INVALID_ARGUMENT: Illegal to list model m multiple times in config list"));
  EXPECT_EQ(Error(One("model_platform: 'tflite' logging_config { sampling_config { sampling_rate: 1 } }")),
            "INVALID_ARGUMENT: Model m: log_collector_config.filename_prefix must be an absolute path, got \"\" (in 'm.config')");
  EXPECT_THAT(Error("custom_model_config { type_url: 'x' }"), StartsWith("INVALID_ARGUMENT: ModelServerConfig::custom_model_config names a source"));
}

TEST(ModelServerConfigTest, HowAModelIsRun) {
  const auto options = [](std::string_view text) { return Models(One(fmt::format("model_platform: 'tflite' {}", text)))[0].load_options.tflite; };
  EXPECT_EQ(options(""), TfliteOptions());
  EXPECT_EQ(options("tflite_options { num_interpreters: 2 threads_per_interpreter: 4 }"),
            (TfliteOptions{.num_interpreters = 2, .threads_per_interpreter = 4}));
  EXPECT_EQ(options("tflite_options { custom_op_library: '/a.so' custom_op_library: '/b.so' }"),
            (TfliteOptions{.custom_op_libraries = {"/a.so", "/b.so"}}));
  EXPECT_EQ(options("tflite_options { num_interpreters: 4096 threads_per_interpreter: 4096 }"),
            (TfliteOptions{.num_interpreters = kMaxInterpreters, .threads_per_interpreter = kMaxThreadsPerInterpreter}));
  for (const auto& [field, value] : {std::pair("num_interpreters", -1), std::pair("num_interpreters", kMaxInterpreters + 1),
                                     std::pair("threads_per_interpreter", -1), std::pair("threads_per_interpreter", kMaxThreadsPerInterpreter + 1)}) {
    EXPECT_EQ(Error(One(fmt::format("model_platform: 'tflite' tflite_options {{ {}: {} }}", field, value))),
              fmt::format("INVALID_ARGUMENT: Model m has tflite_options.{} {}, where 0 to 4096 are allowed (in 'm.config')", field, value));
  }
}

TEST(ModelServerConfigTest, PathsAreAbsolute) {
  const auto with_path = [](std::string_view path) {
    return Error(fmt::format("model_config_list {{ config {{ name: 'm' base_path: '{}' model_platform: 'tflite' }} }}", path));
  };
  for (const char* path : {"/", "/m", "file:///m", "gs://bucket/m", "s3.x://m"}) EXPECT_EQ(with_path(path), "OK") << path;
  for (const char* path : {"", "m", "./m", "../m", "://m", "3://m", "a b://m", "m:/m"}) {
    EXPECT_EQ(with_path(path),
              fmt::format("INVALID_ARGUMENT: Expected model m to have an absolute path or URI; got base_path()={} (in 'm.config')", path));
  }
}

TEST(ModelServerConfigTest, AWrongTextNamesItsPlaceTheFileAndWhatWasExpected) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(
      Error("model_config_list {\n  config { nme: 'm' }\n}"),
      fmt::format("{}2:15: Message type \"tensorflow.serving.ModelConfig\" has no field named \"nme\". (expected is text like: model_config_list "
                  "{{ config {{ name: \"digits\" base_path: \"/models/digits\" model_platform: \"tensorflow\" }} }})",
                  kSyntaxError));
  EXPECT_THAT(Error("model_config_list {"), StartsWith(fmt::format("{}1:20: ", kSyntaxError)));
  EXPECT_THAT(Error("{\"models\": []}"), StartsWith(fmt::format("{}1:1: ", kSyntaxError)));
  EXPECT_THAT(Error(std::string_view("\0\x7f"
                                     "ELF",
                                     5)),
              StartsWith(std::string(kSyntaxError)));
  // A quoted type takes no more room than it had: what follows keeps its column.
  EXPECT_THAT(Error("model_config_list { config { model_type: 'x' nme: 'm' } }"), StartsWith(fmt::format("{}1:49: ", kSyntaxError)));
  EXPECT_EQ(Error(One("model_platform: 'tflite' version_labels { key: '\\xff' value: 1 }")),
            "INVALID_ARGUMENT: Invalid protobuf file: 'm.config': it has a string that is not UTF-8");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");  // libprotobuf's own log
}

TEST(ModelServerConfigTest, TheExpectedTextIsItselfRight) {
  const std::string error = Error("x");
  const size_t start = error.find("model_config_list");
  EXPECT_THAT(Models(error.substr(start, error.rfind(')') - start)), SizeIs(1));
}

TEST(ModelServerConfigTest, DepthIsLimited) {
  // An Any in text may be written as its message, which may have an Any itself.
  const auto nested = [](int depth) {
    std::string text;
    for (int i = 0; i < depth; ++i) text += "custom_model_config { [type.googleapis.com/tensorflow.serving.ModelServerConfig] { ";
    for (int i = 0; i < depth; ++i) text += "} }";
    return text;
  };
  EXPECT_THAT(Error(nested(kMaxProtoTextDepth)), HasSubstr("custom_model_config names a source"));
  EXPECT_THAT(Error(nested(kMaxProtoTextDepth + 1)), HasSubstr("too deep"));
  EXPECT_THAT(Error(nested(50'000)), HasSubstr("too deep"));
}

TEST(ModelServerConfigTest, SizeIsLimited) {
  const TemporaryDirectory directory;
  std::string text = One("model_platform: 'tflite'");
  text.resize(kMaxModelServerConfigBytes, ' ');
  const std::string path = directory.Write("m.config", text);
  EXPECT_EQ(ReadModelServerConfigFile(path).status(), OkStatus());
  directory.Write("m.config", text + " ");
  EXPECT_EQ(ReadModelServerConfigFile(path).status(),
            ResourceExhaustedError(fmt::format("{}: larger than the limit of {} bytes", path, kMaxModelServerConfigBytes)));
}

TEST(ModelServerConfigTest, AMissingFileTellsContainersOfMounts) {
  const TemporaryDirectory root;
  const std::string path = root.path() + "/no/m.config";
  const auto missing = [&] { return ReadModelServerConfigFile(path, root.path() + "/").status(); };
  EXPECT_EQ(missing(), NotFoundError(path + "; No such file or directory"));
  for (const std::string mark : {".dockerenv", "run/.containerenv"}) {
    const TemporaryDirectory container;
    container.Write(mark, "");
    const Status status = ReadModelServerConfigFile(path, container.path() + "/").status();
    EXPECT_EQ(status.code(), StatusCode::kNotFound);
    EXPECT_THAT(status.message(), StartsWith(path + "; No such file or directory. "));
    EXPECT_THAT(status.message(), HasSubstr("COPY"));
    EXPECT_THAT(status.message(), HasSubstr("-v HOST_FOLDER:CONTAINER_FOLDER"));
  }
  EXPECT_THAT(ReadModelServerConfigFile(root.path()).status().ToString(), EndsWith(root.path() + ": Is a directory"));
}

}  // namespace
}  // namespace tflite_serving
