#include "codec/tfrecord.h"

#include <sstream>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "codec/tfrecord_writer.h"

namespace tflite_serving {
namespace {

using ::testing::ElementsAre;

struct Read {
  std::vector<std::string> records;
  Status status;
};

Read ReadAll(const std::string& file) {
  std::istringstream stream(file);
  TfRecordReader reader(stream);
  Read read;
  for (std::string record;;) {
    const StatusOr<bool> next = reader.Next(record);
    read.status = next.status();
    if (!next.ok() || !*next) break;
    read.records.push_back(record);
  }
  EXPECT_EQ(reader.count(), read.records.size());
  return read;
}

TEST(TfRecordTest, RecordsInOrder) {
  const std::string large((size_t{3} << 20) + 5, 'x');
  const Read read = ReadAll(TfRecord("first") + TfRecord("") + TfRecord(large));
  EXPECT_TRUE(read.status.ok()) << read.status.ToString();
  EXPECT_THAT(read.records, ElementsAre("first", "", large));
  EXPECT_TRUE(ReadAll("").status.ok());
}

// Written by tf.io.TFRecordWriter.
TEST(TfRecordTest, AsTensorFlowWritesThem) {
  const std::string file(
      "\x05\0\0\0\0\0\0\0\xea\xb2\x04\x3e"
      "hello"
      "\xbb\x1f\x1c\x19",
      21);
  const Read read = ReadAll(file);
  EXPECT_TRUE(read.status.ok()) << read.status.ToString();
  EXPECT_THAT(read.records, ElementsAre("hello"));
}

TEST(TfRecordTest, EveryCutIsNoticedButThoseBetweenRecords) {
  const std::string file = TfRecord("first") + TfRecord("second");
  for (size_t size = 0; size < file.size(); ++size) {
    const Read read = ReadAll(file.substr(0, size));
    const bool between = size == 0 || size == TfRecord("first").size();
    EXPECT_EQ(read.status.code(), between ? StatusCode::kOk : StatusCode::kDataLoss) << size << ": " << read.status.ToString();
  }
  EXPECT_EQ(ReadAll(file.substr(0, file.size() - 5)).status.message(), "record 1 has 5 of its 6 bytes");
}

TEST(TfRecordTest, EveryBitIsChecked) {
  const std::string file = TfRecord("data");
  for (size_t bit = 0; bit < file.size() * 8; ++bit) {
    std::string flipped = file;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_EQ(ReadAll(flipped).status.code(), StatusCode::kDataLoss) << bit;
  }
}

TEST(TfRecordTest, ALengthIsNoPromiseOfMemory) {
  const auto head = [](uint64_t length) { return WithMaskedCrc({reinterpret_cast<const char*>(&length), sizeof(length)}); };
  EXPECT_EQ(ReadAll(head(TfRecordReader::kMaxRecordBytes) + "x").status, DataLossError("record 0 has 1 of its 2147483647 bytes"));
  EXPECT_EQ(ReadAll(head(TfRecordReader::kMaxRecordBytes + 1)).status,
            ResourceExhaustedError("record 0 has 2147483648 bytes, where 2147483647 are allowed"));
}

TEST(TfRecordTest, AStreamThatCannotBeReadIsAnError) {
  std::istringstream stream(TfRecord("data"));
  stream.setstate(std::ios::badbit);
  TfRecordReader reader(stream);
  std::string record;
  EXPECT_EQ(reader.Next(record).status(), UnknownError("record 0 cannot be read"));
}

}  // namespace
}  // namespace tflite_serving
