#include "codec/json_numbers.h"

#include <bit>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "codec/padded_document.h"

namespace tflite_serving {
namespace {

struct Kernel {
  std::string name;
  const NumberReader* (*reader_for)(DType);
};

// The kernels that this machine can run.
std::vector<Kernel> Kernels() {
  std::vector<Kernel> kernels{{"portable", &PortableNumberReader}};
  if (Sse41NumberReader(DType::kFloat) != nullptr) kernels.push_back({"sse41", &Sse41NumberReader});
  if (Avx2NumberReader(DType::kFloat) != nullptr) kernels.push_back({"avx2", &Avx2NumberReader});
  return kernels;
}

// What reading `text` with read_run gives: the elements and how it ended.
template <class Element>
struct RunResult {
  std::vector<Element> elements;
  bool behind_element = false;
  size_t stopped_at = 0;
  NumberRun run{};
};

template <class Element>
RunResult<Element> RunOver(const NumberReader& reader, std::string_view text, bool has_siblings = false, size_t room = 64) {
  PaddedDocument document(text);
  std::vector<Element> elements(room);
  RunResult<Element> result;
  result.run = {.position = document.body().data(),
                .out = reinterpret_cast<std::byte*>(elements.data()),
                .out_end = reinterpret_cast<std::byte*>(elements.data() + elements.size()),
                .has_siblings = has_siblings};
  result.behind_element = reader.read_run(result.run);
  result.stopped_at = static_cast<size_t>(result.run.position - document.body().data());
  elements.resize(static_cast<size_t>(reinterpret_cast<Element*>(result.run.out) - elements.data()));
  result.elements = elements;
  return result;
}

// Reads the one number of `text` with a kernel; the text must be a number as a whole.
template <class Element>
Element ReadWith(const Kernel& kernel, DType dtype, const std::string& text) {
  const RunResult<Element> result = RunOver<Element>(*kernel.reader_for(dtype), text);
  EXPECT_TRUE(result.behind_element) << kernel.name << " " << text;
  EXPECT_EQ(result.stopped_at, text.size()) << kernel.name << " " << text;
  EXPECT_EQ(result.elements.size(), 1U) << kernel.name << " " << text;
  return result.elements.empty() ? Element{} : result.elements[0];
}

// The C library's strtof and strtod round correctly.
void ExpectAsStrtof(const std::string& text) {
  for (const Kernel& kernel : Kernels()) {
    const auto actual = ReadWith<float>(kernel, DType::kFloat, text);
    EXPECT_EQ(std::bit_cast<uint32_t>(actual), std::bit_cast<uint32_t>(std::strtof(text.c_str(), nullptr))) << kernel.name << " " << text;
  }
}

void ExpectAsStrtod(const std::string& text) {
  for (const Kernel& kernel : Kernels()) {
    const auto actual = ReadWith<double>(kernel, DType::kDouble, text);
    EXPECT_EQ(std::bit_cast<uint64_t>(actual), std::bit_cast<uint64_t>(std::strtod(text.c_str(), nullptr))) << kernel.name << " " << text;
  }
}

TEST(JsonNumbersTest, ReadsChosenFloats) {
  for (const char* text : {"0",
                           "-0",
                           "1",
                           "-1",
                           "0.5",
                           "12.25",
                           "3.4028235e38",
                           "3.5e38",
                           "-1e39",
                           "1.1754944e-38",
                           "1e-45",
                           "7e-46",
                           "1e-50",
                           "-1e-300",
                           "16777217",
                           "16777217.0",
                           "16777219",
                           "0.1",
                           "8388608.5",
                           "8388609.5",
                           "33554434",
                           "33554438",
                           "1e5",
                           "1E5",
                           "1e+5",
                           "1e-5",
                           "1.5e3",
                           "123456789012345678901234567890",
                           "0.000000000000000000000000000001",
                           "9007199254740993",
                           "9223372036854775808",
                           "0.30000001192092896",
                           "123.45678901234567",
                           "-12345.678901234567",
                           "1234567890123456.7",
                           "0.1234567890123456789",
                           "1.00000005960464477539062",
                           "1.000000059604644775390625",
                           "1.00000005960464477539063",
                           "1e308",
                           "9999999999999999999",
                           "18446744073709551615",
                           "99999999999999999999",
                           "0.0000000000000000001"}) {
    ExpectAsStrtof(text);
    ExpectAsStrtod(text);
  }
}

TEST(JsonNumbersTest, EveryLengthOfDigitsWithThePointAnywhere) {
  const std::string digits = "98765432109876543210987654321098765432";
  for (size_t length = 1; length <= digits.size(); ++length) {
    for (size_t point = 1; point <= length; ++point) {
      const std::string text = fmt::format("{}{}{}", digits.substr(0, point), point < length ? "." : "", digits.substr(point, length - point));
      ExpectAsStrtof(text);
      ExpectAsStrtof(fmt::format("-{}", text));
      ExpectAsStrtod(text);
    }
  }
}

// Both kernels against strtof, over the bit patterns of floats (so that exponents are spread evenly) in the notations that clients use.
TEST(JsonNumbersTest, AMillionRandomFloatsAsStrtof) {
  constexpr int kNumbers = 1'000'000;
  std::mt19937_64 random(20240229);
  std::uniform_real_distribution<double> unit(-1, 1);
  for (int i = 0; i < kNumbers; ++i) {
    char text[128];
    char* end;  // set by every case
    auto value = std::bit_cast<float>(static_cast<uint32_t>(random()));
    if (!std::isfinite(value)) continue;
    switch (i % 7) {
      case 0:  // shortest, mostly with an exponent
        end = std::to_chars(text, text + sizeof(text), value).ptr;
        break;
      case 1:  // one that neighbours the middle between two floats
        end = std::to_chars(text, text + sizeof(text), (static_cast<double>(value) + std::nextafter(value, 0.0F)) / 2).ptr;
        break;
      case 2:
        end = std::to_chars(text, text + sizeof(text), static_cast<float>(unit(random)), std::chars_format::fixed).ptr;
        break;
      case 3:  // as numpy's tolist
        end = std::to_chars(text, text + sizeof(text), static_cast<double>(static_cast<float>(unit(random)))).ptr;
        break;
      case 4:
        end = std::to_chars(text, text + sizeof(text), unit(random) * 255, std::chars_format::fixed, static_cast<int>(random() % 20) + 1).ptr;
        break;
      case 5:  // near the largest, the smallest and the denormals
        end = std::to_chars(text, text + sizeof(text), std::ldexp(unit(random), static_cast<int>(random() % 300) - 160)).ptr;
        break;
      default:
        end = std::to_chars(text, text + sizeof(text), static_cast<int64_t>(random()) >> (random() % 63)).ptr;
        break;
    }
    *end = '\0';
    ExpectAsStrtof(text);
    if (HasFailure()) return;
  }
}

TEST(JsonNumbersTest, RandomDoublesAsStrtod) {
  constexpr int kNumbers = 200'000;
  std::mt19937_64 random(7);
  for (int i = 0; i < kNumbers && !testing::Test::HasFailure(); ++i) {
    const auto value = std::bit_cast<double>(random());
    if (!std::isfinite(value)) continue;
    ExpectAsStrtod(fmt::format("{}", value));
    ExpectAsStrtod(fmt::format("{:.{}f}", static_cast<double>(static_cast<int64_t>(random())) * 1e-12, i % 18));
  }
}

TEST(JsonNumbersTest, IntegersOfEveryTypeAtTheirLimits) {
  for (const Kernel& kernel : Kernels()) {
    EXPECT_EQ(ReadWith<int8_t>(kernel, DType::kInt8, "-128"), -128);
    EXPECT_EQ(ReadWith<int8_t>(kernel, DType::kInt8, "127"), 127);
    EXPECT_EQ(ReadWith<uint8_t>(kernel, DType::kUint8, "255"), 255);
    EXPECT_EQ(ReadWith<uint8_t>(kernel, DType::kUint8, "-0"), 0);
    EXPECT_EQ(ReadWith<int16_t>(kernel, DType::kInt16, "-32768"), -32768);
    EXPECT_EQ(ReadWith<uint16_t>(kernel, DType::kUint16, "65535"), 65535);
    EXPECT_EQ(ReadWith<int32_t>(kernel, DType::kInt32, "-2147483648"), std::numeric_limits<int32_t>::min());
    EXPECT_EQ(ReadWith<uint32_t>(kernel, DType::kUint32, "4294967295"), std::numeric_limits<uint32_t>::max());
    EXPECT_EQ(ReadWith<int64_t>(kernel, DType::kInt64, "-9223372036854775808"), std::numeric_limits<int64_t>::min());
    EXPECT_EQ(ReadWith<int64_t>(kernel, DType::kInt64, "9223372036854775807"), std::numeric_limits<int64_t>::max());
    EXPECT_EQ(ReadWith<uint64_t>(kernel, DType::kUint64, "18446744073709551615"), std::numeric_limits<uint64_t>::max());
  }
}

struct Refusal {
  DType dtype;
  std::string text;
  NumberResult result;
};

TEST(JsonNumbersTest, RefusesWhatTheTypeDoesNotTake) {
  const std::vector<Refusal> refusals{
      {DType::kUint8, "300", NumberResult::kOutOfRange},
      {DType::kUint8, "-1", NumberResult::kOutOfRange},
      {DType::kInt8, "128", NumberResult::kOutOfRange},
      {DType::kInt8, "-129", NumberResult::kOutOfRange},
      {DType::kUint16, "65536", NumberResult::kOutOfRange},
      {DType::kInt16, "2147483648", NumberResult::kWrongType},
      {DType::kInt32, "2147483648", NumberResult::kWrongType},
      {DType::kInt32, "1.0", NumberResult::kWrongType},
      {DType::kInt32, "1e3", NumberResult::kWrongType},
      {DType::kInt32, "NaN", NumberResult::kWrongType},
      {DType::kUint32, "-1", NumberResult::kWrongType},
      {DType::kInt64, "9223372036854775808", NumberResult::kWrongType},
      {DType::kUint64, "18446744073709551616", NumberResult::kWrongType},
      {DType::kUint8, "1.0", NumberResult::kWrongType},
      {DType::kFloat, "", NumberResult::kNotANumber},
      {DType::kFloat, "1.", NumberResult::kNotANumber},
      {DType::kFloat, "-", NumberResult::kNotANumber},
      {DType::kFloat, ".5", NumberResult::kNotANumber},
      {DType::kFloat, "+1", NumberResult::kNotANumber},
      {DType::kFloat, "1e", NumberResult::kNotANumber},
      {DType::kFloat, "1e400", NumberResult::kNotANumber},
      {DType::kFloat, "Infinit", NumberResult::kNotANumber},
      {DType::kFloat, "\"1\"", NumberResult::kNotANumber},
  };
  for (const Kernel& kernel : Kernels()) {
    for (const Refusal& refusal : refusals) {
      PaddedDocument document(refusal.text);
      const char* position = document.body().data();
      std::byte out[8];
      const NumberReader& reader = *kernel.reader_for(refusal.dtype);
      EXPECT_EQ(reader.read_one(position, out), refusal.result) << refusal.text;
      EXPECT_EQ(position, document.body().data()) << refusal.text;
      NumberRun run{.position = position, .out = out, .out_end = out + reader.element_bytes, .has_siblings = false};
      EXPECT_FALSE(reader.read_run(run)) << kernel.name << " " << refusal.text;
      EXPECT_EQ(run.position, position) << kernel.name << " " << refusal.text;
      EXPECT_EQ(run.out, out) << kernel.name << " " << refusal.text;
    }
  }
}

TEST(JsonNumbersTest, SpecialValues) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const Kernel& kernel : Kernels()) {
    EXPECT_TRUE(std::isnan(ReadWith<float>(kernel, DType::kFloat, "NaN")));
    EXPECT_TRUE(std::isnan(ReadWith<float>(kernel, DType::kFloat, "-NaN")));
    EXPECT_EQ(ReadWith<float>(kernel, DType::kFloat, "Inf"), kInfinity);
    EXPECT_EQ(ReadWith<float>(kernel, DType::kFloat, "Infinity"), kInfinity);
    EXPECT_EQ(ReadWith<float>(kernel, DType::kFloat, "-Inf"), -kInfinity);
    EXPECT_EQ(ReadWith<double>(kernel, DType::kDouble, "-Infinity"), -std::numeric_limits<double>::infinity());
    EXPECT_EQ(ReadWith<uint16_t>(kernel, DType::kHalf, "-Infinity"), 0xFC00);
  }
}

TEST(JsonNumbersTest, ALeadingZeroEndsTheNumber) {
  for (const Kernel& kernel : Kernels()) {
    const auto result = RunOver<float>(*kernel.reader_for(DType::kFloat), "012,3");
    EXPECT_TRUE(result.behind_element) << kernel.name;
    EXPECT_EQ(result.stopped_at, 1U) << kernel.name;
    EXPECT_THAT(result.elements, testing::ElementsAre(0.0F)) << kernel.name;
  }
}

TEST(JsonNumbersTest, ARunPassesSiblingListsOfTheSameSize) {
  for (const Kernel& kernel : Kernels()) {
    const auto result = RunOver<float>(*kernel.reader_for(DType::kFloat), "1,2],[3, 4] , [5,6]", true);
    EXPECT_THAT(result.elements, testing::ElementsAre(1, 2, 3, 4)) << kernel.name;
    EXPECT_TRUE(result.behind_element);
    EXPECT_EQ(result.stopped_at, 10U);
    EXPECT_EQ(result.run.lists_closed, 1);
    EXPECT_EQ(result.run.count, 2);
    EXPECT_EQ(result.run.expected, 2);
  }
}

TEST(JsonNumbersTest, ARunStopsBeforeASiblingOfAnotherSize) {
  for (const Kernel& kernel : Kernels()) {
    const auto result = RunOver<float>(*kernel.reader_for(DType::kFloat), "1,2],[3],[4,5]", true);
    EXPECT_THAT(result.elements, testing::ElementsAre(1, 2, 3)) << kernel.name;
    EXPECT_EQ(result.stopped_at, 7U);
    EXPECT_EQ(result.run.count, 1);
    const auto alone = RunOver<float>(*kernel.reader_for(DType::kFloat), "1,2],[3,4]", false);
    EXPECT_EQ(alone.stopped_at, 3U);
    EXPECT_EQ(alone.run.expected, -1);
  }
}

TEST(JsonNumbersTest, ARunStopsWhereItsRoomEnds) {
  for (const Kernel& kernel : Kernels()) {
    const auto result = RunOver<float>(*kernel.reader_for(DType::kFloat), "1,2,3,4]", false, 2);
    EXPECT_FALSE(result.behind_element);
    EXPECT_EQ(result.stopped_at, 4U);
    EXPECT_EQ(result.run.count, 2);
  }
}

TEST(JsonNumbersTest, ScanNumberNamesTheFaultAndItsPlace) {
  const auto scan = [](const std::string& text) {
    PaddedDocument document(text);
    const NumberToken token = ScanNumber(document.body().data());
    return fmt::format("{}@{}", token.fault == nullptr ? "ok" : token.fault, token.end - document.body().data());
  };
  EXPECT_EQ(scan("-12.5e-3,"), "ok@8");
  EXPECT_EQ(scan("1.x"), "Miss fraction part in number.@2");
  EXPECT_EQ(scan("1e+x"), "Miss exponent in number.@3");
  EXPECT_EQ(scan("-x"), "Invalid value.@1");
  EXPECT_EQ(scan("NaX"), "Invalid value.@2");
  EXPECT_EQ(scan("1e309"), "Number too big to be stored in double.@0");
  EXPECT_EQ(scan("-1e309"), "Number too big to be stored in double.@0");
  EXPECT_EQ(scan("1e99999999999999999999"), "Number too big to be stored in double.@0");
  EXPECT_EQ(scan("1e-99999999999999999999"), "ok@23");
  EXPECT_EQ(scan("0.1e309"), "ok@7");
  EXPECT_EQ(scan(std::string(400, '9')), "Number too big to be stored in double.@0");
}

}  // namespace
}  // namespace tflite_serving
