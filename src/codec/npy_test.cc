#include "codec/npy.h"

#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tensor/tensor.h"

namespace tflite_serving {
namespace {

using std::string_literals::operator""s;

std::span<const std::byte> AsBytes(std::string_view text) { return std::as_bytes(std::span(text)); }

// Version 1.0 with that header.
std::string File(std::string_view header, std::string_view elements = "") {
  std::string file = "\x93NUMPY\x01"s;
  file += {0, static_cast<char>(header.size() & 0xff), static_cast<char>(header.size() >> 8)};
  return file.append(header).append(elements);
}

std::string Header(std::string_view descr, std::string_view shape) {
  return fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}   \n", descr, shape);
}

// "float[2,3]", or why not.
std::string Parse(std::string_view file) {
  const StatusOr<NpyArray> array = ParseNpy(AsBytes(file));
  if (array.ok()) return fmt::format("{}{}", DTypeName(array->dtype), array->shape.ToString());
  EXPECT_EQ(array.status().code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(array.status().message().starts_with("npy: ")) << array.status().message();
  return array.status().message().substr(sizeof("npy: ") - 1);
}

// These bytes are numpy.save's own, of numpy.arange(6, dtype='<i2').reshape(2, 3).
TEST(NpyTest, AFileOfNumPy) {
  const std::string file = "\x93NUMPY\x01\x00\x76\x00{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }"s + std::string(58, ' ') + "\n" +
                           "\x00\x00\x01\x00\x02\x00\x03\x00\x04\x00\x05\x00"s;
  ASSERT_EQ(file.size(), 140U);
  const StatusOr<NpyArray> array = ParseNpy(AsBytes(file));
  ASSERT_TRUE(array.ok()) << array.status().ToString();
  EXPECT_EQ(array->dtype, DType::kInt16);
  EXPECT_EQ(array->shape, Shape({2, 3}));
  EXPECT_EQ(array->elements.data(), AsBytes(file).data() + 128);
  EXPECT_EQ(array->elements.size(), 12U);
  EXPECT_EQ(NpyHeader(DType::kInt16, {2, 3}), file.substr(0, 128));
}

TEST(NpyTest, ReadsWhatItWrites) {
  for (const DType dtype : {DType::kFloat, DType::kDouble, DType::kHalf, DType::kBfloat16, DType::kInt8, DType::kInt16, DType::kInt32, DType::kInt64,
                            DType::kUint8, DType::kUint16, DType::kUint32, DType::kUint64, DType::kBool, DType::kComplex64, DType::kComplex128}) {
    for (const Shape& shape : {Shape{}, Shape{0}, Shape{3}, Shape{2, 0, 4}, Shape{1, 1, 1, 1, 1, 1, 1, 2}}) {
      const std::string header = NpyHeader(dtype, shape);
      EXPECT_EQ(header.size() % 64, 0U);
      EXPECT_EQ(Parse(header + std::string(*TensorSizeBytes(dtype, shape), 'x')), fmt::format("{}{}", DTypeName(dtype), shape.ToString()));
    }
    EXPECT_FALSE(NumpyName(dtype).empty());
  }
  for (const DType dtype : {DType::kString, DType::kInt4, DType::kInvalid}) EXPECT_EQ(NumpyName(dtype), "");
  EXPECT_EQ(NumpyName(DType::kHalf), "float16");
}

TEST(NpyTest, EverySpellingOfAHeader) {
  EXPECT_EQ(Parse(File(R"({"shape": (), "descr": "|i1", "fortran_order": False})", "x")), "int8[]");
  EXPECT_EQ(Parse(File("{'fortran_order':False,'shape':(2,),'descr':'<u1'}", "xy")), "uint8[2]");
  EXPECT_EQ(Parse(File("{ 'shape' : ( 1 , 2, ) , 'descr' : '|b1' , 'fortran_order' : False , } \n", "xy")), "bool[1,2]");
  const std::string header = Header("<f4", "(1,)");
  for (const char version : {'\x02', '\x03'}) {
    EXPECT_EQ(Parse("\x93NUMPY"s + version + std::string{0, static_cast<char>(header.size()), 0, 0, 0} + header + "1234"), "float[1]");
  }
}

TEST(NpyTest, TypesAndOrdersThatAreNotServed) {
  EXPECT_EQ(Parse(File(Header(">f4", "(1,)"), "1234")), "elements of type '>f4' are big-endian; convert them with x.astype('<f4')");
  for (const char* descr : {"|S5", "<U5", "|O", "<m8[ns]", "<f16", "f4", "", "|f4", "<V2x", "<V3"}) {
    EXPECT_EQ(Parse(File(Header(descr, "(1,)"), "1234")), fmt::format("elements of type '{}' are not served", descr));
  }
  EXPECT_EQ(Parse(File("{'descr': '<f4', 'fortran_order': True, 'shape': (1, 1)}", "1234")),
            "the array is in Fortran order; send numpy.ascontiguousarray(x)");
}

TEST(NpyTest, TheBytesHaveToBeThoseOfTheShape) {
  const std::string header = Header("<f4", "(2, 1)");
  EXPECT_EQ(Parse(File(header, "12345678")), "float[2,1]");
  EXPECT_EQ(Parse(File(header, "1234567")), "float[2,1] has 8 bytes, got 7");
  EXPECT_EQ(Parse(File(header, "123456789")), "float[2,1] has 8 bytes, got 9");
  EXPECT_TRUE(Parse(File(Header("<f4", "(4611686018427387904, 4611686018427387904, 0)"))).find("shape") != std::string::npos);
  EXPECT_EQ(Parse(File(Header("|u1", "(1, 1, 1, 1, 1, 1, 1, 1)"), "x")), "uint8[1,1,1,1,1,1,1,1]");
  EXPECT_EQ(Parse(File(Header("|u1", "(1, 1, 1, 1, 1, 1, 1, 1, 1)"), "x")), "an array has at most 8 dimensions");
}

TEST(NpyTest, EveryTruncatedFileIsRefused) {
  const std::string file = File(Header("|u1", "(3,)"), "xyz");
  for (size_t size = 0; size < file.size(); ++size) EXPECT_NE(Parse(file.substr(0, size)), "uint8[3]") << size;
  EXPECT_EQ(Parse(""), "the body does not begin with \\x93NUMPY");
  EXPECT_EQ(Parse(file.substr(0, 7)), "the body ends in the header");
  EXPECT_EQ(Parse(file.substr(0, 40)), "the body ends in the header");
}

TEST(NpyTest, HeadersThatAreNone) {
  for (const char* header : {"",
                             "{",
                             "{}",
                             "{'descr': '<f4', 'shape': (1,)}",
                             "{'descr': '<f4', 'fortran_order': False}",
                             "{'fortran_order': False, 'shape': (1,)}",
                             "{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (1)}",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (1L,)}",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (1 2)}",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (,)}",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': [1]}",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (1,",
                             "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}",
                             "{'descr': '<f4' 'fortran_order': False, 'shape': (1,)}",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 1}",
                             "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}"}) {
    EXPECT_EQ(Parse(File(header, "1234")),
              fmt::format("expected a header of 'descr', 'fortran_order' and 'shape', got {}", std::string_view(header).substr(0, 64)));
  }
}

TEST(NpyTest, VersionsAndLimits) {
  EXPECT_EQ(Parse("\x93NUMPY\x04\x00\x00\x00\x00\x00"s), "version 4.0 is none of 1.0, 2.0 and 3.0");
  EXPECT_EQ(Parse("\x93NUMPY\x01\x01\x00\x00"s), "version 1.1 is none of 1.0, 2.0 and 3.0");
  std::string longest = Header("|u1", "(1,)");
  longest.resize(kMaxNpyHeaderBytes, ' ');
  EXPECT_EQ(Parse(File(longest, "x")), "uint8[1]");
  EXPECT_EQ(Parse(File(longest + " ", "x")), "the header has 10001 bytes, the limit is 10000");
}

}  // namespace
}  // namespace tflite_serving
