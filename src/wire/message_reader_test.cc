#include "wire/message_reader.h"

#include <initializer_list>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wire/message_writer.h"

namespace tflite_serving {
namespace {

using ::testing::HasSubstr;

using namespace std::string_literals;

using Piece = std::span<const std::byte>;

Piece Bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

// Owns pieces and lends them as a range.
class Pieces {
 public:
  Pieces(std::initializer_list<std::string> texts) : texts_(texts) {
    for (const std::string& text : texts_) pieces_.push_back(Bytes(text));
  }
  // `text` in pieces of `size` bytes.
  Pieces(const std::string& text, size_t size) {
    for (size_t at = 0; at < text.size(); at += size) texts_.push_back(text.substr(at, size));
    for (const std::string& piece : texts_) pieces_.push_back(Bytes(piece));
  }
  WireRange range() const { return WireRange(pieces_); }

 private:
  std::vector<std::string> texts_;
  std::vector<Piece> pieces_;
};

std::string Repeated(const std::string& text, size_t times) {
  std::string all;
  for (size_t i = 0; i < times; ++i) all += text;
  return all;
}

TEST(WireRangeTest, NoPiecesAndEmptyPiecesAreEmpty) {
  EXPECT_TRUE(WireRange().empty());
  EXPECT_TRUE(Pieces({}).range().empty());
  const Pieces empty{"", "", ""};
  EXPECT_EQ(empty.range().size(), 0U);
  EXPECT_TRUE(empty.range().contiguous().empty());
}

TEST(WireRangeTest, ReadsAcrossPieces) {
  const Pieces pieces{"", "ab", "", "cde", "f", ""};
  WireRange range = pieces.range();
  ASSERT_EQ(range.size(), 6U);
  std::string four(4, ' ');
  ASSERT_TRUE(range.Read(std::as_writable_bytes(std::span(four))));
  EXPECT_EQ(four, "abcd");
  EXPECT_EQ(range.ToString(), "ef");
  EXPECT_FALSE(range.Read(std::as_writable_bytes(std::span(four)))) << "two bytes are left";
  EXPECT_EQ(range.size(), 2U) << "a failed read takes nothing";
}

TEST(WireRangeTest, SplitsAtEveryPlace) {
  const Pieces pieces{"ab", "", "cde", "f"};
  for (size_t n = 0; n <= 6; ++n) {
    WireRange rest = pieces.range();
    WireRange front;
    ASSERT_TRUE(rest.Split(n, front));
    EXPECT_EQ(front.ToString(), std::string("abcdef").substr(0, n));
    EXPECT_EQ(rest.ToString(), std::string("abcdef").substr(n));
  }
  WireRange rest = pieces.range();
  WireRange front;
  EXPECT_FALSE(rest.Split(7, front));
  EXPECT_FALSE(rest.Split(UINT64_MAX, front));
  EXPECT_FALSE(rest.Skip(7));
  EXPECT_EQ(rest.ToString(), "abcdef");
}

TEST(WireRangeTest, VarintsOfEveryLengthSurviveEveryCut) {
  for (int bit = 0; bit < 64; ++bit) {
    const uint64_t value = uint64_t{1} << bit;
    std::string text(VarintSize(value), '\0');
    MessageWriter writer(std::as_writable_bytes(std::span(text)));
    writer.Varint(value);
    ASSERT_EQ(writer.left(), 0U) << "VarintSize(2^" << bit << ")";
    for (const size_t size : {1, 2, 3, 20}) {
      const Pieces pieces(text, size);
      WireRange range = pieces.range();
      uint64_t read;
      ASSERT_TRUE(range.ReadVarint(read));
      EXPECT_EQ(read, value);
      EXPECT_TRUE(range.empty());
    }
    const Pieces shortened(text.substr(0, text.size() - 1), 20);
    WireRange cut = shortened.range();
    uint64_t read;
    EXPECT_FALSE(cut.ReadVarint(read));
  }
}

TEST(WireRangeTest, AVarintHasAtMostTenBytes) {
  uint64_t value;
  const Pieces longest{Repeated("\xFF", 9) + "\x01"};
  WireRange range = longest.range();
  ASSERT_TRUE(range.ReadVarint(value));
  EXPECT_EQ(value, UINT64_MAX);
  const Pieces eleven{Repeated("\xFF", 10) + "\x01"};
  range = eleven.range();
  EXPECT_FALSE(range.ReadVarint(value));
}

TEST(MessageReaderTest, ReadsEveryWireType) {
  const std::string message =
      "\x08\x96\x01"                          // 1: varint 150
      "\x12\x02hi"                            // 2: "hi"
      "\x1D\x01\x00\x00\x80"                  // 3: fixed32
      "\x21\x02\x00\x00\x00\x00\x00\x00\x80"  // 4: fixed64
      ""s;
  for (const size_t size : {1, 2, 5, 100}) {
    const Pieces pieces(message, size);
    MessageReader reader(pieces.range());
    WireField field;
    ASSERT_TRUE(reader.Next(field));
    EXPECT_TRUE(field.Is(1, WireType::kVarint));
    EXPECT_EQ(field.number_value, 150U);
    ASSERT_TRUE(reader.Next(field));
    EXPECT_TRUE(field.Is(2, WireType::kLengthDelimited));
    EXPECT_EQ(field.range.ToString(), "hi");
    ASSERT_TRUE(reader.Next(field));
    EXPECT_TRUE(field.Is(3, WireType::kFixed32));
    EXPECT_EQ(field.number_value, 0x80000001U);
    ASSERT_TRUE(reader.Next(field));
    EXPECT_TRUE(field.Is(4, WireType::kFixed64));
    EXPECT_EQ(field.number_value, 0x8000000000000002U);
    EXPECT_FALSE(reader.Next(field));
    EXPECT_FALSE(reader.malformed());
  }
}

TEST(MessageReaderTest, SkipsGroupsAtAnyPlace) {
  // Group 5 with a field, group 6 (empty) and group 5 inside; then field 1.
  const Pieces pieces{"\x2B\x08\x07\x33\x34\x2B\x2C\x2C\x08\x03"};
  MessageReader reader(pieces.range());
  WireField field;
  ASSERT_TRUE(reader.Next(field));
  EXPECT_TRUE(field.Is(1, WireType::kVarint));
  EXPECT_EQ(field.number_value, 3U);
  EXPECT_FALSE(reader.Next(field));
  EXPECT_FALSE(reader.malformed()) << reader.problem();
}

TEST(MessageReaderTest, GroupsMayBeAHundredDeep) {
  const auto nested = [](size_t depth) { return Repeated("\x0B", depth) + Repeated("\x0C", depth); };
  WireField field;
  const Pieces deepest(nested(MessageReader::kMaxGroupDepth), 1000);
  MessageReader reader(deepest.range());
  EXPECT_FALSE(reader.Next(field));
  EXPECT_FALSE(reader.malformed()) << reader.problem();
  const Pieces deeper(nested(MessageReader::kMaxGroupDepth + 1), 1000);
  MessageReader too_deep(deeper.range());
  EXPECT_FALSE(too_deep.Next(field));
  EXPECT_THAT(too_deep.problem(), HasSubstr("deeper than 100"));
}

struct Malformed {
  std::string message;
  std::string problem;
};

class MalformedMessageTest : public ::testing::TestWithParam<Malformed> {};

TEST_P(MalformedMessageTest, IsNamed) {
  const Pieces pieces{GetParam().message};
  MessageReader reader(pieces.range());
  WireField field;
  while (reader.Next(field)) {
  }
  EXPECT_TRUE(reader.malformed());
  EXPECT_EQ(reader.problem(), GetParam().problem);
}

INSTANTIATE_TEST_SUITE_P(All, MalformedMessageTest,
                         ::testing::Values(Malformed{"\x80", "a field's number is cut off or too long"},
                                           Malformed{std::string(1, '\0'), "0 is no field number"},
                                           Malformed{"\x80\x80\x80\x80\x80\x01", "4294967296 is no field number"},
                                           Malformed{"\x08", "the number in field 1 is cut off or too long"},
                                           Malformed{"\x0D\x01\x02\x03", "the number in field 1 is cut off"},
                                           Malformed{"\x09\x01\x02\x03\x04\x05\x06\x07", "the number in field 1 is cut off"},
                                           Malformed{"\x0A\x80", "the length of field 1 is cut off or too long"},
                                           Malformed{"\x0A\x46hello", "field 1 claims 70 bytes where 5 are left"},
                                           Malformed{"\x0E", "field 1 has the unknown wire type 6"},
                                           Malformed{"\x0C", "group 1 ends without having begun"}, Malformed{"\x0B\x14", "group 1 is ended as 2"},
                                           Malformed{"\x0B\x08\x01", "a field's number is cut off or too long"}));

TEST(ReadNameTest, TakesUtf8Only) {
  for (const char* good : {"", "x", "dense_1/input:0", "\xC3\xA9", "\xE0\xA0\x80", "\xED\x9F\xBF", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"}) {
    const Pieces pieces{good};
    const StatusOr<std::string> name = ReadName(pieces.range());
    ASSERT_TRUE(name.ok()) << good;
    EXPECT_EQ(*name, good);
  }
  // A lone continuation, overlong forms, a surrogate, beyond U+10FFFF, and sequences cut off.
  for (const char* bad : {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xFF", "\xC3",
                          "\xE2\x82", "\xF0\x9F\x92"}) {
    const Pieces pieces{std::string("ok") + bad};
    EXPECT_EQ(ReadName(pieces.range()).status().message(), "a name is not valid UTF-8") << bad;
  }
}

TEST(ReadNameTest, LimitsTheLength) {
  const Pieces longest{std::string(kMaxNameBytes, 'n')};
  EXPECT_TRUE(ReadName(longest.range()).ok());
  const Pieces longer{std::string(kMaxNameBytes + 1, 'n')};
  EXPECT_EQ(ReadName(longer.range()).status().message(), "a name has 4097 bytes, the limit is 4096");
}

}  // namespace
}  // namespace tflite_serving
