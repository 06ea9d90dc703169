// The decoder and the encoder of TensorProto. That they agree with protobuf's own classes is tested in proto/.
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "codec/tensor_proto_decoder.h"
#include "codec/tensor_proto_encoder.h"
#include "wire/message_builder.h"

namespace tflite_serving {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

MessageBuilder ShapeMessage(const std::vector<int64_t>& dims) {
  MessageBuilder shape;
  for (const int64_t dim : dims) shape.Message(2, MessageBuilder().Varint(1, static_cast<uint64_t>(dim)));
  return shape;
}

// A TensorProto with dtype and shape, to be continued with values.
MessageBuilder TensorMessage(DType dtype, const std::vector<int64_t>& dims) {
  return MessageBuilder().Varint(1, static_cast<uint64_t>(dtype)).Message(2, ShapeMessage(dims));
}

// Decodes the message whole and in pieces of every size up to 20 bytes, which must give the same.
StatusOr<Tensor> Decode(const MessageBuilder& message) {
  const MessagePieces whole(message.text(), std::max<size_t>(message.text().size(), 1));
  StatusOr<Tensor> tensor = DecodeTensorProto(whole.range());
  for (size_t size = 1; size <= 20; ++size) {
    const MessagePieces pieces(message.text(), size);
    const StatusOr<Tensor> other = DecodeTensorProto(pieces.range());
    EXPECT_EQ(other.status(), tensor.status()) << "in pieces of " << size;
    if (!other.ok() || !tensor.ok()) continue;
    EXPECT_EQ(other->shape(), tensor->shape());
    EXPECT_THAT(other->view().bytes, ElementsAreArray(tensor->view().bytes)) << "in pieces of " << size;
  }
  return tensor;
}

template <typename T>
std::vector<T> DecodedValues(const MessageBuilder& message) {
  StatusOr<Tensor> tensor = Decode(message);
  EXPECT_TRUE(tensor.ok()) << tensor.status().ToString();
  if (!tensor.ok()) return {};
  const TensorView view = tensor->view();
  EXPECT_EQ(reinterpret_cast<uintptr_t>(view.bytes.data()) % kTensorAlignment, 0U);
  const std::span<const T> values = view.values<T>();
  return {values.begin(), values.end()};
}

std::vector<std::string> DecodedStrings(const MessageBuilder& message) {
  StatusOr<Tensor> tensor = Decode(message);
  EXPECT_TRUE(tensor.ok()) << tensor.status().ToString();
  if (!tensor.ok()) return {};
  const TensorView view = tensor->view();
  const int64_t count = *view.shape.NumElements();
  EXPECT_TRUE(ValidateStrings(view.bytes, count).ok());
  std::vector<std::string> texts;
  texts.reserve(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) texts.emplace_back(view.StringAt(i));
  return texts;
}

std::string DecodeError(const MessageBuilder& message) {
  const StatusOr<Tensor> tensor = Decode(message);
  EXPECT_EQ(tensor.status().code(), StatusCode::kInvalidArgument);
  return tensor.status().message();
}

TEST(DecodeTensorProtoTest, ReadsPackedAndUnpackedFloats) {
  EXPECT_THAT(DecodedValues<float>(TensorMessage(DType::kFloat, {3}).PackedFixed(5, {1.5F, -2.0F, 3.25F})), ElementsAre(1.5F, -2.0F, 3.25F));
  EXPECT_THAT(DecodedValues<float>(TensorMessage(DType::kFloat, {3}).Fixed(5, 1.5F).Fixed(5, -2.0F).Fixed(5, 3.25F)),
              ElementsAre(1.5F, -2.0F, 3.25F));
  EXPECT_THAT(DecodedValues<float>(TensorMessage(DType::kFloat, {3}).PackedFixed(5, {1.5F}).Fixed(5, -2.0F).PackedFixed(5, {3.25F})),
              ElementsAre(1.5F, -2.0F, 3.25F));
  EXPECT_THAT(DecodedValues<double>(TensorMessage(DType::kDouble, {2}).PackedFixed(6, {1.5, -2.0})), ElementsAre(1.5, -2.0));
  EXPECT_THAT(DecodedValues<double>(TensorMessage(DType::kDouble, {2}).Fixed(6, 1.5).Fixed(6, -2.0)), ElementsAre(1.5, -2.0));
}

TEST(DecodeTensorProtoTest, FieldsComeInAnyOrder) {
  MessageBuilder message;
  message.PackedFixed(5, {1.0F, 2.0F}).Message(2, ShapeMessage({2})).Varint(3, 0).Delimited(99, "unknown").Varint(1, 1);
  EXPECT_THAT(DecodedValues<float>(message), ElementsAre(1.0F, 2.0F));
}

TEST(DecodeTensorProtoTest, IntegersAreCutToTheirType) {
  EXPECT_THAT(DecodedValues<uint8_t>(TensorMessage(DType::kUint8, {4}).PackedVarints(7, {300, 255, 256, -1})), ElementsAre(44, 255, 0, 255));
  EXPECT_THAT(DecodedValues<int8_t>(TensorMessage(DType::kInt8, {3}).PackedVarints(7, {-128, 128, 127})), ElementsAre(-128, -128, 127));
  EXPECT_THAT(DecodedValues<uint16_t>(TensorMessage(DType::kUint16, {2}).PackedVarints(7, {65535, 65536})), ElementsAre(65535, 0));
  EXPECT_THAT(DecodedValues<int16_t>(TensorMessage(DType::kInt16, {2}).PackedVarints(7, {-1, 32768})), ElementsAre(-1, -32768));
  EXPECT_THAT(DecodedValues<int32_t>(TensorMessage(DType::kInt32, {2}).PackedVarints(7, {-5, 2147483647})), ElementsAre(-5, 2147483647));
  EXPECT_THAT(DecodedValues<uint32_t>(TensorMessage(DType::kUint32, {1}).PackedVarints(16, {4294967295})), ElementsAre(4294967295));
  constexpr int64_t kLowest = std::numeric_limits<int64_t>::min();
  EXPECT_THAT(DecodedValues<int64_t>(TensorMessage(DType::kInt64, {2}).PackedVarints(10, {kLowest, -1})), ElementsAre(kLowest, -1));
  EXPECT_THAT(DecodedValues<uint64_t>(TensorMessage(DType::kUint64, {1}).PackedVarints(17, {-1})), ElementsAre(UINT64_MAX));
  EXPECT_THAT(DecodedValues<uint16_t>(TensorMessage(DType::kHalf, {2}).PackedVarints(13, {0x3C00, 0x10001})), ElementsAre(0x3C00, 1));
  EXPECT_THAT(DecodedValues<uint16_t>(TensorMessage(DType::kBfloat16, {1}).Varint(13, 0x3F80)), ElementsAre(0x3F80));
}

TEST(DecodeTensorProtoTest, AnyNonZeroBoolIsTrue) {
  EXPECT_THAT(DecodedValues<uint8_t>(TensorMessage(DType::kBool, {4}).PackedVarints(11, {0, 1, 2, -1})), ElementsAre(0, 1, 1, 1));
  EXPECT_THAT(DecodedValues<uint8_t>(TensorMessage(DType::kBool, {3}).Delimited(4, std::string("\x00\x01\xFF", 3))), ElementsAre(0, 1, 1));
}

TEST(DecodeTensorProtoTest, ComplexNumbersAreTwoValuesEach) {
  EXPECT_THAT(DecodedValues<float>(TensorMessage(DType::kComplex64, {2}).PackedFixed(9, {1.0F, 2.0F, 3.0F, 4.0F})), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(DecodedValues<double>(TensorMessage(DType::kComplex128, {2}).PackedFixed(12, {1.0, 2.0})), ElementsAre(1, 2, 1, 2));
  EXPECT_THAT(DecodedValues<float>(TensorMessage(DType::kComplex64, {2}).PackedFixed(9, {1.0F, 2.0F, 3.0F})), ElementsAre(1, 2, 1, 2))
      << "half a number is none";
}

TEST(DecodeTensorProtoTest, TheLastValueIsRepeated) {
  EXPECT_THAT(DecodedValues<float>(TensorMessage(DType::kFloat, {2, 2}).PackedFixed(5, {1.0F, 7.0F})), ElementsAre(1, 7, 7, 7));
  EXPECT_THAT(DecodedValues<int32_t>(TensorMessage(DType::kInt32, {3})), ElementsAre(0, 0, 0));
  EXPECT_THAT(DecodedStrings(TensorMessage(DType::kString, {3}).Delimited(8, "a").Delimited(8, "bc")), ElementsAre("a", "bc", "bc"));
  EXPECT_THAT(DecodedStrings(TensorMessage(DType::kString, {2})), ElementsAre("", ""));
}

TEST(DecodeTensorProtoTest, ValuesBehindTheLastElementAreIgnored) {
  EXPECT_THAT(DecodedValues<float>(TensorMessage(DType::kFloat, {1}).PackedFixed(5, {1.0F, 2.0F, 3.0F}).Fixed(5, 4.0F)), ElementsAre(1.0F));
  EXPECT_THAT(DecodedValues<int64_t>(TensorMessage(DType::kInt64, {0, 5}).PackedVarints(10, {1, 2})), ElementsAre());
  EXPECT_THAT(DecodedStrings(TensorMessage(DType::kString, {1}).Delimited(8, "a").Delimited(8, "b")), ElementsAre("a"));
}

TEST(DecodeTensorProtoTest, ValuesOfAnotherTypeAreIgnored) {
  EXPECT_THAT(DecodedValues<float>(TensorMessage(DType::kFloat, {2}).PackedVarints(7, {1, 2})), ElementsAre(0.0F, 0.0F));
}

TEST(DecodeTensorProtoTest, WithoutAShapeItIsAScalar) {
  const MessageBuilder message = MessageBuilder().Varint(1, 1).PackedFixed(5, {4.0F, 5.0F});
  EXPECT_THAT(DecodedValues<float>(message), ElementsAre(4.0F));
  EXPECT_EQ(Decode(message)->shape(), Shape({}));
}

TEST(DecodeTensorProtoTest, ContentWinsOverValues) {
  const std::vector<int32_t> content{-3, 1 << 30};
  const std::string bytes = MessageBuilder::Bytes(std::span(content));
  EXPECT_THAT(DecodedValues<int32_t>(TensorMessage(DType::kInt32, {2}).PackedVarints(7, {9, 9}).Delimited(4, bytes)), ElementsAre(-3, 1 << 30));
  EXPECT_THAT(DecodedValues<int32_t>(TensorMessage(DType::kInt32, {2}).Delimited(4, "").PackedVarints(7, {9})), ElementsAre(9, 9))
      << "empty content is none";
}

TEST(DecodeTensorProtoTest, ContentMustHaveItsExactSize) {
  EXPECT_EQ(DecodeError(TensorMessage(DType::kFloat, {2, 2}).Delimited(4, std::string(12, 'x'))), "tensor_content has 12 bytes, float[2,2] needs 16");
  EXPECT_EQ(DecodeError(TensorMessage(DType::kFloat, {2, 2}).Delimited(4, std::string(17, 'x'))), "tensor_content has 17 bytes, float[2,2] needs 16");
  EXPECT_EQ(DecodeError(TensorMessage(DType::kUint8, {0}).Delimited(4, "x")), "tensor_content has 1 bytes, uint8[0] needs 0");
}

TEST(DecodeTensorProtoTest, LargeContentStaysWhereItLiesIfThatIsAligned) {
  const std::string content(kMinBorrowedBytes, 'c');
  const std::string message = TensorMessage(DType::kUint8, {static_cast<int64_t>(content.size())}).Delimited(4, content).text();
  AlignedBuffer memory;
  ASSERT_TRUE(memory.Resize(message.size() + kTensorAlignment));
  for (size_t at = 0; at < kTensorAlignment; ++at) {
    const std::string_view bytes(std::copy(message.begin(), message.end(), reinterpret_cast<char*>(memory.data()) + at) - message.size(),
                                 message.size());
    BorrowedContents contents;
    const StatusOr<Tensor> tensor = DecodeTensorProto(WireRange(bytes), {}, &contents);
    ASSERT_TRUE(tensor.ok());
    EXPECT_THAT(tensor->view().bytes, ElementsAreArray(std::as_bytes(std::span(content))));
    EXPECT_EQ(contents.largest.data(), reinterpret_cast<const std::byte*>(bytes.data()) + message.size() - content.size());
    const bool is_aligned = (at + message.size() - content.size()) % kTensorAlignment == 0;
    EXPECT_EQ(tensor->view().bytes.data() == contents.largest.data(), is_aligned) << at;
    EXPECT_NE(DecodeTensorProto(WireRange(bytes))->view().bytes.data(), contents.largest.data());
  }
}

TEST(DecodeTensorProtoTest, StringContentIsLengthsThenBytes) {
  EXPECT_THAT(DecodedStrings(TensorMessage(DType::kString, {2, 2}).Delimited(4, std::string("\x02\x00\x01\x03", 4) + "ab!xyz")),
              ElementsAre("ab", "", "!", "xyz"));
  const std::string lengths_and_long = "\x80\x02\x01" + std::string(256, 'l') + "s";
  EXPECT_THAT(DecodedStrings(TensorMessage(DType::kString, {2}).Delimited(4, lengths_and_long)), ElementsAre(std::string(256, 'l'), "s"));
}

TEST(DecodeTensorProtoTest, StringContentMustAddUp) {
  EXPECT_EQ(DecodeError(TensorMessage(DType::kString, {2}).Delimited(4, "\x01")), "tensor_content ends within the lengths of 2 strings");
  EXPECT_EQ(DecodeError(TensorMessage(DType::kString, {2}).Delimited(4, "\x01\x02xy")),
            "tensor_content has 2 bytes of strings where their lengths add up to 3");
  EXPECT_EQ(DecodeError(TensorMessage(DType::kString, {1}).Delimited(4, "\x01xy")),
            "tensor_content has 2 bytes of strings where their lengths add up to 1");
  // Lengths that add up only modulo 2^64.
  const std::string huge = std::string(9, '\xFF') + "\x01" + "\x02" + "x";
  EXPECT_THAT(DecodeError(TensorMessage(DType::kString, {2}).Delimited(4, huge)), HasSubstr("add up to 2147483650"));
}

TEST(DecodeTensorProtoTest, RefusesTypesItDoesNotKnow) {
  EXPECT_EQ(DecodeError(MessageBuilder()), "dtype 0 is not supported");
  EXPECT_EQ(DecodeError(TensorMessage(DType::kInvalid, {1})), "dtype 0 is not supported");
  for (const uint64_t number : {11, 20, 21, 24, 31, 101, 1000}) {
    EXPECT_EQ(DecodeError(MessageBuilder().Varint(1, number)), "dtype " + std::to_string(number) + " is not supported");
  }
  EXPECT_EQ(DecodeError(TensorMessage(DType::kInt4, {1}).PackedVarints(7, {1})), "element type int4 cannot be held");
}

TEST(DecodeTensorProtoTest, RefusesShapesItCannotHold) {
  EXPECT_EQ(DecodeError(TensorMessage(DType::kFloat, {2, -1})), "a dimension of -1");
  EXPECT_EQ(DecodeError(MessageBuilder().Varint(1, 1).Message(2, MessageBuilder().Varint(3, 1))), "a shape of unknown rank");
  EXPECT_EQ(DecodeError(TensorMessage(DType::kFloat, {1, 1, 1, 1, 1, 1, 1, 1, 1})), "more than 8 dimensions");
  EXPECT_THAT(DecodeError(TensorMessage(DType::kFloat, {int64_t{1} << 40})), HasSubstr("float[1099511627776] exceeds the limit of 2147483647 bytes"));
  EXPECT_THAT(DecodeError(TensorMessage(DType::kUint8, {int64_t{1} << 40, int64_t{1} << 40})), HasSubstr("too many elements"));
  EXPECT_THAT(DecodeError(TensorMessage(DType::kString, {int64_t{1} << 40})), HasSubstr("exceeds the limit"));
  EXPECT_EQ(Decode(TensorMessage(DType::kFloat, {1, 1, 1, 1, 1, 1, 1, 1}))->shape().rank(), 8);
}

TEST(DecodeTensorProtoTest, FewValuesMayNotDemandHugeTensors) {
  constexpr int64_t kLargest = kMaxFilledTensorBytes;
  const StatusOr<Tensor> largest = DecodeTensorProto(MessagePieces(TensorMessage(DType::kUint8, {kLargest}).Varint(7, 5).text(), 100).range());
  ASSERT_TRUE(largest.ok()) << largest.status().ToString();
  EXPECT_EQ(largest->view().values<uint8_t>()[kLargest - 1], 5);
  EXPECT_EQ(DecodeError(TensorMessage(DType::kUint8, {kLargest + 1}).Varint(7, 5)),
            "uint8[67108865] needs 67108865 bytes, but the message has fewer values than elements, for which the limit is 67108864 bytes");
  EXPECT_THAT(DecodeError(TensorMessage(DType::kInt64, {kLargest / 8 + 1})), HasSubstr("fewer values than elements"));
  EXPECT_THAT(DecodeError(TensorMessage(DType::kString, {kLargest / 4 + 1})), HasSubstr("fewer values than elements"));
  // 17 bits of elements, each of them a repeated kilobyte.
  EXPECT_THAT(DecodeError(TensorMessage(DType::kString, {1 << 17}).Delimited(8, std::string(1024, 'r'))), HasSubstr("fewer values than elements"));
  // The message has enough bytes, but not of values: found out when they have been counted.
  EXPECT_THAT(DecodeTensorProto(
                  MessagePieces(TensorMessage(DType::kUint8, {kLargest + 1}).Delimited(99, std::string(kLargest + 1, ' ')).text(), 1 << 20).range())
                  .status()
                  .message(),
              HasSubstr("fewer values than elements"));
}

TEST(DecodeTensorProtoTest, RefusesMalformedMessages) {
  EXPECT_EQ(DecodeError(TensorMessage(DType::kFloat, {2}).Raw("\x2A\x08zz")), "field 5 claims 8 bytes where 2 are left");
  EXPECT_EQ(DecodeError(TensorMessage(DType::kFloat, {2}).Delimited(5, "12345")), "the 5 bytes of field 5 are no sequence of values");
  EXPECT_EQ(DecodeError(TensorMessage(DType::kInt32, {2}).Delimited(7, "\x01\x80")), "the 2 bytes of field 7 are no sequence of values");
  EXPECT_EQ(DecodeError(TensorMessage(DType::kInt32, {2}).Delimited(7, std::string(11, '\xFF') + std::string(11, '\x01'))),
            "the 22 bytes of field 7 are no sequence of values");
  EXPECT_EQ(DecodeError(MessageBuilder().Varint(1, 1).Delimited(2, "\x12\x05")), "field 2 claims 5 bytes where 0 are left");
  EXPECT_EQ(DecodeError(MessageBuilder().Varint(1, 1).Delimited(2, "\x12\x01\x08")), "the number in field 1 is cut off or too long");
}

std::string Encode(const TensorView& tensor, bool as_tensor_content) {
  const StatusOr<TensorProtoEncoder> encoder = TensorProtoEncoder::Create(tensor, as_tensor_content);
  EXPECT_TRUE(encoder.ok()) << encoder.status().ToString();
  std::string text(encoder->size(), '?');
  MessageWriter writer(std::as_writable_bytes(std::span(text)));
  encoder->Write(writer);
  EXPECT_EQ(writer.left(), 0U);
  return text;
}

template <typename T>
TensorView View(DType dtype, const Shape& shape, const std::vector<T>& values) {
  return {dtype, shape, std::as_bytes(std::span(values))};
}

TEST(TensorProtoEncoderTest, WritesTheFieldOfEachType) {
  const std::vector<float> floats{1.5F, -2.0F};
  EXPECT_EQ(Encode(View(DType::kFloat, {2}, floats), false), TensorMessage(DType::kFloat, {2}).PackedFixed(5, {1.5F, -2.0F}).text());
  const std::vector<double> doubles{0.1};
  EXPECT_EQ(Encode(View(DType::kDouble, {1}, doubles), false), TensorMessage(DType::kDouble, {1}).PackedFixed(6, {0.1}).text());
  const std::vector<int32_t> int32s{-1, 0, 127, 128, 1 << 30};
  EXPECT_EQ(Encode(View(DType::kInt32, {5}, int32s), false), TensorMessage(DType::kInt32, {5}).PackedVarints(7, {-1, 0, 127, 128, 1 << 30}).text());
  const std::vector<int8_t> int8s{-128, 127};
  EXPECT_EQ(Encode(View(DType::kInt8, {2}, int8s), false), TensorMessage(DType::kInt8, {2}).PackedVarints(7, {-128, 127}).text());
  const std::vector<uint8_t> uint8s{200};
  EXPECT_EQ(Encode(View(DType::kUint8, {1}, uint8s), false), TensorMessage(DType::kUint8, {1}).PackedVarints(7, {200}).text());
  const std::vector<uint16_t> halves{0xBC00};
  EXPECT_EQ(Encode(View(DType::kHalf, {1}, halves), false), TensorMessage(DType::kHalf, {1}).PackedVarints(13, {0xBC00}).text());
  const std::vector<uint32_t> uint32s{UINT32_MAX};
  EXPECT_EQ(Encode(View(DType::kUint32, {1}, uint32s), false), TensorMessage(DType::kUint32, {1}).PackedVarints(16, {UINT32_MAX}).text());
  const std::vector<uint64_t> uint64s{UINT64_MAX};
  EXPECT_EQ(Encode(View(DType::kUint64, {1}, uint64s), false), TensorMessage(DType::kUint64, {1}).PackedVarints(17, {-1}).text());
  const std::vector<uint8_t> bools{0, 1, 2};
  EXPECT_EQ(Encode(View(DType::kBool, {3}, bools), false), TensorMessage(DType::kBool, {3}).PackedVarints(11, {0, 1, 1}).text());
}

TEST(TensorProtoEncoderTest, WritesContentWhenAsked) {
  const std::vector<int16_t> values{-2, 3};
  EXPECT_EQ(Encode(View(DType::kInt16, {2}, values), true),
            TensorMessage(DType::kInt16, {2}).Delimited(4, MessageBuilder::Bytes(std::span(values))).text());
}

TEST(TensorProtoEncoderTest, WritesStringsBothWays) {
  StringTensorBuilder builder;
  ASSERT_TRUE(builder.Start(3).ok());
  for (const char* text : {"ab", "", "xyz"}) ASSERT_TRUE(builder.Add(text).ok());
  const AlignedBuffer strings = builder.Finish();
  const TensorView tensor{DType::kString, {3}, strings.bytes()};
  EXPECT_EQ(Encode(tensor, false), TensorMessage(DType::kString, {3}).Delimited(8, "ab").Delimited(8, "").Delimited(8, "xyz").text());
  EXPECT_EQ(Encode(tensor, true), TensorMessage(DType::kString, {3})
                                      .Delimited(4, std::string("\x02\x00\x03"
                                                                "abxyz",
                                                                8))
                                      .text());
}

TEST(TensorProtoEncoderTest, LeavesOutWhatIsEmpty) {
  const std::vector<float> none;
  const std::string shape = MessageBuilder().Message(2, MessageBuilder()).text();
  EXPECT_EQ(Encode(View(DType::kFloat, {0}, none), false), MessageBuilder().Varint(1, 1).Delimited(2, shape).text());
  EXPECT_EQ(Encode(View(DType::kFloat, {0}, none), true), MessageBuilder().Varint(1, 1).Delimited(2, shape).text());
  const std::vector<float> one{2.0F};
  EXPECT_EQ(Encode(View(DType::kFloat, {}, one), false), MessageBuilder().Varint(1, 1).Delimited(2, "").PackedFixed(5, {2.0F}).text());
}

TEST(TensorProtoEncoderTest, RefusesWhatItCannotWrite) {
  const std::vector<uint8_t> bytes{1, 2, 3};
  EXPECT_EQ(TensorProtoEncoder::Create(View(DType::kInt4, {3}, bytes), false).status().code(), StatusCode::kUnimplemented);
  EXPECT_EQ(TensorProtoEncoder::Create(View(DType::kFloat, {1}, bytes), false).status().message(), "float[1] needs 4 bytes, got 3");
}

}  // namespace
}  // namespace tflite_serving
