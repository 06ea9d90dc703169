#include "runtime/legacy_signatures.h"

#include <random>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/model_graph.h"
#include "runtime/test_tensors.h"
#include "wire/message_builder.h"

namespace tflite_serving {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

// What the metadata of a test model has under this name.
std::string Entry(const std::string& model, std::string_view name) {
  const std::string bytes = ReadTestModel(model);
  const StatusOr<TfliteFile> file = ReadTfliteFile(model, AsBytes(bytes));
  for (const FileMetadata& metadata : file->metadata) {
    if (metadata.name == name) return {reinterpret_cast<const char*>(metadata.content.data()), metadata.content.size()};
  }
  return "";
}

TEST(LegacySignaturesTest, ReadsKeysMethodsAndNames) {
  const std::string entry = Entry("examples/legacy_signatures", kLegacySignaturesEntry);
  const auto signatures = ReadLegacySignatures(AsBytes(entry));
  ASSERT_TRUE(signatures.ok()) << signatures.status().ToString();
  ASSERT_EQ(signatures->size(), 2);
  EXPECT_EQ((*signatures)[0].key, "raw");
  EXPECT_EQ((*signatures)[0].method_name, "tensorflow/serving/predict");
  EXPECT_THAT((*signatures)[0].inputs, ElementsAre(Pair("examples", "serving_default_inputs:0")));
  EXPECT_EQ((*signatures)[1].key, "serving_default");
  EXPECT_THAT((*signatures)[1].inputs, ElementsAre(Pair("inputs", "serving_default_inputs")));
  EXPECT_EQ((*signatures)[1].outputs.size(), 2);
}

TEST(LegacySignaturesTest, SurvivesCorruption) {
  const std::string sound = Entry("examples/legacy_signatures", kLegacySignaturesEntry);
  int refused = 0;
  for (size_t size = 0; size < sound.size(); ++size) {
    const std::string cut = sound.substr(sound.size() - size);  // the root is at the end
    refused += ReadLegacySignatures(AsBytes(cut)).ok() ? 0 : 1;
  }
  std::mt19937 random(7);
  for (int i = 0; i < 2000; ++i) {
    std::string flipped = sound;
    FlipBits(flipped, random);
    refused += ReadLegacySignatures(AsBytes(flipped)).ok() ? 0 : 1;
  }
  EXPECT_GT(refused, 500);
}

TEST(LegacySignaturesTest, SaysWhatIsWrong) {
  EXPECT_THAT(ReadLegacySignatures({}).status().message(), HasSubstr("too short"));
  const std::string number("\x05\x04\x01", 3);  // the number 5
  EXPECT_THAT(ReadLegacySignatures(AsBytes(number)).status().message(), HasSubstr("where a map is expected"));
}

std::string Number(uint32_t value) { return {reinterpret_cast<const char*>(&value), sizeof(value)}; }

// A map of `count` entries, all with one key and one value.
std::string SharingMap(uint32_t count, const std::string& value) {
  constexpr char kBlob = 25 << 2 | 2;
  constexpr char kMap = 9 << 2 | 2;
  std::string map = Number(static_cast<uint32_t>(value.size())) + value + std::string("k\0", 2) + Number(count);
  const size_t keys = map.size();
  for (uint32_t i = 0; i < count; ++i) map += Number(static_cast<uint32_t>(map.size() - sizeof(uint32_t) - value.size()));
  map += Number(static_cast<uint32_t>(map.size() - keys)) + Number(sizeof(uint32_t)) + Number(count);
  const size_t values = map.size();
  for (uint32_t i = 0; i < count; ++i) map += Number(static_cast<uint32_t>(map.size() - sizeof(uint32_t)));
  map.append(count, kBlob);
  return map + Number(static_cast<uint32_t>(map.size() - values)) + kMap + char{sizeof(uint32_t)};
}

TEST(LegacySignaturesTest, EntriesMayNotAllNameOneLongValue) {
  const std::string value = MessageBuilder().Delimited(15, std::string(10000, '.')).text();
  const auto shared = ReadLegacySignatures(AsBytes(SharingMap(4, value)));
  ASSERT_TRUE(shared.ok()) << shared.status().ToString();
  EXPECT_EQ(shared->size(), 4);
  EXPECT_EQ((*shared)[3].key, "k");
  const Status status = ReadLegacySignatures(AsBytes(SharingMap(5, value))).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "it names the same content from too many places");
}

// They win over the schema's of the same key.
TEST(LegacySignaturesTest, NameTheModelsSignatures) {
  const std::string bytes = ReadTestModel("examples/legacy_signatures");
  const StatusOr<ModelGraph> graph = ReadModelGraph("m", AsBytes(bytes));
  ASSERT_TRUE(graph.ok()) << graph.status().ToString();
  ASSERT_EQ(graph->signatures.size(), 2);
  const Signature& replaced = graph->signatures[0].signature;
  EXPECT_EQ(replaced.key, "serving_default");
  EXPECT_EQ(replaced.method_name, kClassifyMethodName);
  EXPECT_EQ(replaced.FindInput("inputs"), 0);
  EXPECT_EQ(replaced.inputs[0].tensor_name, "serving_default_inputs:0");
  const Signature& added = graph->signatures[1].signature;
  EXPECT_EQ(added.key, "raw");
  EXPECT_EQ(added.method_name, kPredictMethodName);
  EXPECT_EQ(added.FindInput("examples"), 0);
  ASSERT_EQ(added.outputs.size(), 1);
  EXPECT_EQ(added.outputs[0].name, "probabilities");
  EXPECT_EQ(graph->runtime_signatures.size(), 1);
}

// The runtime reads the table still: what it says must be sound even where nobody here asks for it.
TEST(LegacySignaturesTest, ASignatureThatTheyReplaceMustBeSoundToo) {
  const std::string bytes = ReadTestModel("refused/signature_of_no_graph");
  const Status status = ReadModelGraph("m", AsBytes(bytes)).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "m: signature \"raw\" is over subgraph 100000000, of 1");
}

TEST(LegacySignaturesTest, AnUnknownTensorIsNamed) {
  const std::string bytes = ReadTestModel("half_plus_two");
  const StatusOr<TfliteFile> file = ReadTfliteFile("m", AsBytes(bytes));
  const LegacySignature signature{.key = "k", .method_name = "", .inputs = {{"x", "serving_default_x"}}, .outputs = {{"y", "nothing:0"}}};
  const Status status = ResolveLegacySignature(signature, *file).status();
  EXPECT_EQ(status.code(), StatusCode::kInternal);
  EXPECT_EQ(status.message(), "Signature output y references an unknown tensor: Unknown tensor 'nothing:0'.");
  const LegacySignature swapped{.key = "k", .method_name = "", .inputs = {{"x", "StatefulPartitionedCall:0"}}, .outputs = {}};
  EXPECT_THAT(ResolveLegacySignature(swapped, *file).status().message(), HasSubstr("Signature input x references an unknown tensor"));
}

}  // namespace
}  // namespace tflite_serving
