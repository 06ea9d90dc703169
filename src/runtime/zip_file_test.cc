#include "runtime/zip_file.h"

#include <algorithm>
#include <cstring>
#include <random>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/class_labels.h"
#include "runtime/model_graph.h"
#include "runtime/test_tensors.h"
#include "runtime/tflite_file.h"

namespace tflite_serving {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::string_view kLabels = "cat\ndog\n\u00e9l\u00e9phant\n";

template <typename T>
std::string Number(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

// An archive of one file that is stored, not packed.
struct Archive {
  std::string name = "a.txt";
  std::string content = "hello";
  uint16_t flags = 0;
  uint16_t method = 0;
  uint32_t size = 5;
  uint32_t checksum = 0x3610A686;  // of "hello"
  uint32_t offset = 0;

  std::string Build() const {
    const std::string middle = Number(flags) + Number(method) + Number(uint32_t{0}) + Number(checksum) + Number(uint32_t(content.size())) +
                               Number(size) + Number(uint16_t(name.size())) + Number(uint16_t{0});
    const std::string local = "PK\x03\x04" + Number(uint16_t{20}) + middle + name + content;
    const std::string entry = "PK\x01\x02" + Number(uint16_t{20}) + Number(uint16_t{20}) + middle + Number(uint16_t{0}) + Number(uint32_t{0}) +
                              Number(uint32_t{0}) + Number(offset) + name;
    return local + entry + "PK\x05\x06" + Number(uint32_t{0}) + Number(uint16_t{1}) + Number(uint16_t{1}) + Number(uint32_t(entry.size())) +
           Number(uint32_t(local.size())) + Number(uint16_t{0});
  }
};

StatusOr<std::string> Read(const std::string& bytes, std::string_view name = "a.txt") { return ReadZippedFile(AsBytes(bytes), name); }

TEST(ZipFileTest, ReadsStoredAndDeflatedFiles) {
  EXPECT_EQ(Read(Archive{}.Build()).value(), "hello");
  EXPECT_EQ(Read(ReadTestModel("class_labels"), "labels.txt").value(), kLabels);
}

// Offsets may count from the archive's own start, as here, or from that of the whole file, as in the model.
TEST(ZipFileTest, AnArchiveMayFollowAnything) {
  EXPECT_EQ(Read("model" + Archive{}.Build()).value(), "hello");
  std::string with_comment = Archive{}.Build();
  with_comment.back() = 1;
  with_comment[with_comment.size() - 2] = 0;
  EXPECT_EQ(Read(with_comment + "#").value(), "hello");
}

TEST(ZipFileTest, SaysWhyNot) {
  EXPECT_EQ(Read("").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(Read(ReadTestModel("half_plus_two")).status().message(), "there is no ZIP archive");
  EXPECT_EQ(Read(Archive{}.Build(), "b.txt").status().message(), "there is no file \"b.txt\" in the ZIP archive");
  EXPECT_EQ(Read(Archive{.flags = 1}.Build()).status().message(), "the file is encrypted");
  EXPECT_EQ(Read(Archive{.method = 12}.Build()).status().message(), "the file is packed with method 12");
  EXPECT_THAT(Read(Archive{.checksum = 1}.Build()).status().message(), HasSubstr("checksum"));
  EXPECT_THAT(Read(Archive{.size = 4}.Build()).status().message(), HasSubstr("size or checksum"));
  EXPECT_THAT(Read(Archive{.offset = 1}.Build()).status().message(), HasSubstr("no file begins at 1"));
  EXPECT_THAT(Read(Archive{.method = 8}.Build()).status().message(), HasSubstr("does not inflate to the 5 bytes"));
  EXPECT_EQ(Read(Archive{.size = kMaxZippedFileBytes + 1}.Build()).status().code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(Read(Archive{.size = kMaxZippedFileBytes}.Build()).status().message(), HasSubstr("size or checksum"));
}

TEST(ZipFileTest, SurvivesCorruption) {
  const std::string model = ReadTestModel("class_labels");
  int refused = 0;
  std::mt19937 random(7);
  for (const std::string& sound : {Archive{}.Build(), model.substr(model.size() - 200)}) {
    for (size_t size = 0; size < sound.size(); ++size) refused += Read(sound.substr(sound.size() - size), "labels.txt").ok() ? 0 : 1;
    for (int i = 0; i < 2000; ++i) {
      std::string flipped = sound;
      FlipBits(flipped, random);
      refused += Read(flipped, sound.size() == 200 ? "labels.txt" : "a.txt").ok() ? 0 : 1;
    }
  }
  EXPECT_GT(refused, 1000);
}

TEST(ClassLabelsTest, ComeFromTheModelsMetadata) {
  const std::string bytes = ReadTestModel("class_labels");
  const StatusOr<ModelGraph> graph = ReadModelGraph("m", AsBytes(bytes));
  ASSERT_TRUE(graph.ok()) << graph.status().ToString();
  EXPECT_THAT(graph->signatures[0].signature.outputs[0].class_labels, ElementsAre("cat", "dog", "\u00e9l\u00e9phant"));
}

// A bad label file is a warning: the model is none the worse for it.
TEST(ClassLabelsTest, AModelWithBadLabelsLoadsWithoutThem) {
  std::string bytes = ReadTestModel("class_labels");
  bytes.resize(bytes.size() - 10);
  const StatusOr<ModelGraph> cut = ReadModelGraph("m", AsBytes(bytes));
  ASSERT_TRUE(cut.ok()) << cut.status().ToString();
  EXPECT_THAT(cut->signatures[0].signature.outputs[0].class_labels, IsEmpty());
}

// One file may be that of many outputs, of many signatures.
TEST(ClassLabelsTest, WhatTheyTakeIsLimited) {
  const std::string bytes = ReadTestModel("class_labels");
  const TfliteFile file = *ReadTfliteFile("m", AsBytes(bytes));
  const auto entry = std::ranges::find(file.metadata, kTfliteMetadataEntry, &FileMetadata::name);
  ASSERT_NE(entry, file.metadata.end());
  ClassLabels labels = *ClassLabels::Open(entry->content, AsBytes(bytes));
  EXPECT_THAT(labels.Read(0, 1).value(), IsEmpty());
  EXPECT_THAT(labels.Read(1, 0).value(), IsEmpty());
  const size_t bytes_each = kLabels.size() + 3 * sizeof(std::string);
  for (size_t i = 0; i < ClassLabels::kMaxBytes / bytes_each; ++i) ASSERT_EQ(labels.Read(0, 0).value().size(), 3);
  const Status status = labels.Read(0, 0).status();
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(status.message(), "label file \"labels.txt\": the labels of all outputs exceed 67108864 bytes");
}

TEST(ClassLabelsTest, MalformedMetadataIsAnError) {
  const std::string text = "This is no FlatBuffer.";
  const std::string long_offset = std::string("\xFF\0\0\0M001", 8);
  EXPECT_THAT(ClassLabels::Open(AsBytes(text), {}).status().message(), HasSubstr("the metadata is not sound"));
  EXPECT_THAT(ClassLabels::Open(AsBytes(long_offset), {}).status().message(), HasSubstr("the file refers to position"));
}

}  // namespace
}  // namespace tflite_serving
