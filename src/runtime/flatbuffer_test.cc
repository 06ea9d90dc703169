#include "runtime/flatbuffer.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A file, written by hand:
//   0: root at 16; 4: "TEST"
//   8: vtable: 8 bytes; table of 16; field 0 at 4, field 1 at 8   (fields 2… absent)
//  16: table: vtable is 8 back; field 0: 7; field 1: vector 8 on, at 32; unused
//  32: vector of 3: 10, 11, 12
std::vector<uint8_t> SmallFile() {
  return {16, 0, 0, 0, 'T', 'E', 'S', 'T', 8, 0, 16, 0, 4,  0, 8, 0, 8,  0, 0, 0, 7,  0, 0, 0,
          8,  0, 0, 0, 0,   0,   0,   0,   3, 0, 0,  0, 10, 0, 0, 0, 11, 0, 0, 0, 12, 0, 0, 0};
}

std::span<const std::byte> Bytes(const std::vector<uint8_t>& file) { return std::as_bytes(std::span(file)); }

TEST(FlatBufferTest, ReadsScalarsAndVectors) {
  const std::vector<uint8_t> bytes = SmallFile();
  FlatBuffer file(Bytes(bytes));
  const FlatTable root = file.Root("TEST");
  EXPECT_EQ(root.Scalar<int32_t>(0), 7);
  EXPECT_THAT(root.Scalars<int32_t>(1), ElementsAre(10, 11, 12));
  EXPECT_THAT(file.error(), IsEmpty());
}

TEST(FlatBufferTest, AbsentFieldsReadAsTheirDefaults) {
  const std::vector<uint8_t> bytes = SmallFile();
  FlatBuffer file(Bytes(bytes));
  const FlatTable root = file.Root("TEST");
  EXPECT_EQ(root.Scalar<int32_t>(2, -5), -5);
  EXPECT_EQ(root.String(9), "");
  EXPECT_THAT(root.Tables(3), IsEmpty());
  EXPECT_EQ(root.Table(4).Scalar<int32_t>(0, 3), 3);
  EXPECT_THAT(file.error(), IsEmpty());
}

TEST(FlatBufferTest, OtherFilesAreTold) {
  const std::vector<uint8_t> bytes = SmallFile();
  FlatBuffer file(Bytes(bytes));
  EXPECT_EQ(file.Root("TFL3").Scalar<int32_t>(0), 0);
  EXPECT_THAT(file.error(), HasSubstr("\"TFL3\""));
  FlatBuffer empty({});
  empty.Root("TEST");
  EXPECT_THAT(empty.error(), HasSubstr("\"TEST\""));
}

// Whatever any two bytes are and wherever the file ends, reading stays inside (the sanitizers watch) and comes to an end.
TEST(FlatBufferTest, NoByteLeadsOutside) {
  for (size_t at = 0; at < SmallFile().size(); ++at) {
    for (const uint8_t value : std::vector<uint8_t>{0, 1, 4, 127, 128, 255}) {
      std::vector<uint8_t> bytes = SmallFile();
      bytes[at] = value;
      if (at + 3 < bytes.size()) bytes[at + 3] = value;
      for (const size_t size : {bytes.size(), at}) {
        FlatBuffer file(Bytes(bytes).subspan(0, size));
        const FlatTable root = file.Root("TEST");
        root.Scalar<uint64_t>(0);
        root.Scalars<int32_t>(1);
        root.String(1);
        for (const FlatTable& table : root.Tables(1)) table.Scalar<int32_t>(0);
      }
    }
  }
}

TEST(FlatBufferTest, AVectorBeyondTheEndIsAnErrorAndEmpty) {
  std::vector<uint8_t> bytes = SmallFile();
  bytes[32] = 4;  // one element more than there is room for
  FlatBuffer file(Bytes(bytes));
  EXPECT_THAT(file.Root("TEST").Scalars<int32_t>(1), IsEmpty());
  EXPECT_THAT(file.error(), HasSubstr("but has 48 bytes"));
}

TEST(FlatBufferTest, ReadingOneVectorForEverEndsWithAnError) {
  const std::vector<uint8_t> bytes = SmallFile();
  FlatBuffer file(Bytes(bytes));
  const FlatTable root = file.Root("TEST");
  int reads = 0;
  while (file.error().empty() && reads < 1'000'000) {
    root.Scalars<int32_t>(1);
    ++reads;
  }
  EXPECT_GT(reads, 100);
  EXPECT_LT(reads, 100'000);
  EXPECT_THAT(file.error(), HasSubstr("too many places"));
  EXPECT_THAT(root.Scalars<int32_t>(1), IsEmpty());
}

}  // namespace
}  // namespace tflite_serving
