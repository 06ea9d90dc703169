// Predict requests that are refused: the messages, which people search for, and which of several faults is reported.
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "codec/json_predict.h"
#include "codec/padded_document.h"
#include "codec/predict_proto.h"

namespace tflite_serving {
namespace {

constexpr int kDeep = 500'000;

Signature OneInput(DType dtype) { return {.key = "serving_default", .inputs = {{.name = "x", .dtype = dtype, .shape = {-1}}}}; }

Signature TwoInputs() {
  return {.key = "serving_default",
          .inputs = {{.name = "b", .dtype = DType::kFloat, .shape = {-1}}, {.name = "a", .dtype = DType::kInt32, .shape = {-1}}}};
}

// "INVALID_ARGUMENT: …" or "OK". Twice, so that what a failed request leaves behind is seen to do no harm.
std::string DecodeWith(const SignatureResolver& resolve, std::string_view text) {
  JsonPredictRequest request;
  PaddedDocument document(text);
  const std::string first = DecodeJsonPredict(document.body(), resolve, request).ToString();
  EXPECT_EQ(DecodeJsonPredict(document.body(), resolve, request).ToString(), first);
  return first;
}

std::string Decode(const Signature& signature, std::string_view text) {
  return DecodeWith([&](std::string_view) -> StatusOr<const Signature*> { return &signature; }, text);
}

// The message without its code, which must be INVALID_ARGUMENT.
std::string Refusal(const Signature& signature, std::string_view text) {
  constexpr std::string_view kCode = "INVALID_ARGUMENT: ";
  const std::string status = Decode(signature, text);
  EXPECT_TRUE(status.starts_with(kCode)) << status;
  return status.substr(std::min(status.size(), kCode.size()));
}
std::string Refusal(DType dtype, std::string_view text) { return Refusal(OneInput(dtype), text); }

std::string Repeat(std::string_view text, int times) {
  std::string repeated;
  for (int i = 0; i < times; ++i) repeated += text;
  return repeated;
}

TEST(JsonPredictErrorsTest, Syntax) {
  EXPECT_EQ(Refusal(DType::kFloat, ""), "JSON Parse error: The document is empty");
  EXPECT_EQ(Refusal(DType::kFloat, "  "), "JSON Parse error: The document is empty. at offset: 2");
  EXPECT_EQ(Refusal(DType::kFloat, R"({"instances": [1, 2)"), "JSON Parse error: Missing a comma or ] after an array element. at offset: 19");
  EXPECT_EQ(Refusal(DType::kFloat, R"({"instances": [1,]})"), "JSON Parse error: Invalid value. at offset: 17");
  EXPECT_EQ(Refusal(DType::kFloat, R"({"instances": [[1],[2,]]})"), "JSON Parse error: Invalid value. at offset: 22");
  EXPECT_EQ(Refusal(DType::kFloat, R"({"instances": [1 2]})"), "JSON Parse error: Missing a comma or ] after an array element. at offset: 17");
  EXPECT_EQ(Refusal(DType::kFloat, R"({"instances": [01]})"), "JSON Parse error: Missing a comma or ] after an array element. at offset: 16");
  EXPECT_EQ(Refusal(DType::kFloat, R"({"instances": [1.]})"), "JSON Parse error: Miss fraction part in number. at offset: 17");
  EXPECT_EQ(Refusal(DType::kFloat, R"({"instances": [1e400]})"), "JSON Parse error: Number too big to be stored in double. at offset: 15");
  EXPECT_EQ(Refusal(DType::kString, R"({"instances": ["a)"), "JSON Parse error: Missing a closing quotation mark in string. at offset: 17");
  EXPECT_EQ(Refusal(DType::kBool, R"({"instances": [tru]})"), "JSON Parse error: Invalid value. at offset: 18");
  EXPECT_EQ(Refusal(DType::kFloat, R"({"instances": [1]],)"), "JSON Parse error: Missing a comma or } after an object member. at offset: 17");
  EXPECT_EQ(Refusal(DType::kFloat, R"({instances: [1]})"), "JSON Parse error: Missing a name for object member. at offset: 1");
}

TEST(JsonPredictErrorsTest, TheDocument) {
  EXPECT_EQ(Refusal(DType::kFloat, "[1]"), "JSON Value: [\n    1\n] Is not object");
  EXPECT_EQ(Refusal(DType::kFloat, "5"), "JSON Value: 5 Is not object");
  EXPECT_EQ(Refusal(DType::kFloat, R"({"signature_name": 5, "instances": [1]})"),
            "JSON Value: {\n    \"signature_name\": 5,\n    \"instances\": [\n        1\n    ]\n} not formatted correctly. 'signature_name' key must "
            "be a string "
            "value.");
  EXPECT_EQ(Refusal(DType::kFloat, "{}"), "Missing 'inputs' or 'instances' key");
  EXPECT_EQ(Refusal(DType::kFloat, R"({"signature_name": "", "x": [1]})"), "Missing 'inputs' or 'instances' key");
  EXPECT_EQ(Refusal(DType::kFloat, R"({"inputs": 1, "instances": 2})"),
            "JSON Value: {\n    \"inputs\": 1,\n    \"instances\": 2\n} Not formatted correctly expecting only one of 'inputs' or 'instances' keys "
            "to exist ");
  EXPECT_EQ(Refusal(DType::kFloat, R"({"instances": 1})"), "JSON Value: {\n    \"instances\": 1\n} Expecting 'instances' to be an list/array");
  EXPECT_EQ(Refusal(DType::kFloat, R"({"instances": []})"), "JSON Value: {\n    \"instances\": []\n} No values in 'instances' array");
}

TEST(JsonPredictErrorsTest, AValueIsCutInMessages) {
  const std::string message = Refusal(DType::kFloat, fmt::format(R"({{"instances": "{}"}})", std::string(1'000'000, 'x')));
  EXPECT_TRUE(message.starts_with("JSON Value: {\n    \"instances\": \"xxxx")) << message;
  EXPECT_TRUE(message.ends_with("xxxx... Expecting 'instances' to be an list/array")) << message;
  EXPECT_LT(message.size(), 400U);
}

TEST(JsonPredictErrorsTest, WhatTheResolverSays) {
  const SignatureResolver unknown_model = [](std::string_view) -> StatusOr<const Signature*> {
    return NotFoundError("Servable not found for request: Latest(m)");
  };
  EXPECT_EQ(DecodeWith(unknown_model, R"({"instances": [1]})"), "NOT_FOUND: Servable not found for request: Latest(m)");
  const Signature empty{.key = "empty"};
  const SignatureResolver without_inputs = [&](std::string_view) -> StatusOr<const Signature*> { return &empty; };
  EXPECT_EQ(DecodeWith(without_inputs, R"({"instances": [1]})"), "INVALID_ARGUMENT: Failed to get input map for signature: DEFAULT");
  EXPECT_EQ(DecodeWith(without_inputs, R"({"inputs": {}, "signature_name": "empty"})"),
            "INVALID_ARGUMENT: Failed to get input map for signature: empty");
}

TEST(JsonPredictErrorsTest, ComplexNumbersThatAreNoPairs) {
  const auto refusal = [](std::string_view sizes) {
    return fmt::format("numbers of type complex64 are lists [re, im]; got lists of sizes {}", sizes);
  };
  EXPECT_EQ(Refusal(DType::kComplex64, R"({"inputs": 1})"), refusal("[]"));
  EXPECT_EQ(Refusal(DType::kComplex64, R"({"inputs": [1]})"), refusal("[1]"));
  EXPECT_EQ(Refusal(DType::kComplex64, R"({"inputs": [[1, 2, 3]]})"), refusal("[1,3]"));
  EXPECT_EQ(Refusal(DType::kComplex64, R"({"instances": [1, 2]})"), refusal("[2]")) << "two rows, not a pair";
  EXPECT_EQ(Refusal(DType::kComplex64, R"({"instances": [{"x": 1}, {"x": 2}]})"), refusal("[2]"));
  EXPECT_EQ(Refusal(DType::kComplex64, R"({"inputs": [["a", 2]]})"), "JSON Value: \"a\" Type: String is not of expected type: complex64");
  EXPECT_EQ(Refusal(DType::kComplex128, R"({"instances": [[1, 2], [3]]})"),
            "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting tensor size: 2 but got: 1");
}

TEST(JsonPredictErrorsTest, TheOutputFilter) {
  const auto refusal = [](std::string_view filter) {
    return Refusal(DType::kFloat, fmt::format(R"({{"instances": [1], "output_filter": {}}})", filter));
  };
  constexpr std::string_view kEnd = " not formatted correctly. 'output_filter' key must be a list of at most 4096 strings.";
  for (const char* filter : {"5", "\"y\"", "null", "{}", "[1]", "[\"y\", null]", "[[\"y\"]]"}) {
    EXPECT_TRUE(refusal(filter).starts_with("JSON Value: {")) << filter;
    EXPECT_TRUE(refusal(filter).ends_with(kEnd)) << filter;
  }
  const std::string names = Repeat("\"y\",", kMaxRequestNames - 1) + "\"y\"";
  EXPECT_EQ(Decode(OneInput(DType::kFloat), fmt::format(R"({{"output_filter": [{}], "instances": [1]}})", names)), "OK");
  EXPECT_TRUE(refusal(fmt::format("[{},\"y\"]", names)).ends_with(kEnd));
  EXPECT_EQ(refusal("[\"y\""), "JSON Parse error: Missing a comma or ] after an array element. at offset: 40");
}

TEST(JsonPredictErrorsTest, FaultsAreReportedInTheOriginalsOrder) {
  const Signature floats = OneInput(DType::kFloat);
  const SignatureResolver resolve = [&](std::string_view name) -> StatusOr<const Signature*> {
    if (name == "good") return &floats;
    return InvalidArgumentError(fmt::format("no signature {}", name));
  };
  // Syntax, wherever it is broken, before everything; then signature_name's type; the signature; the tensors.
  EXPECT_EQ(DecodeWith(resolve, R"({"instances": ["x"], "signature_name": 5, "more": [1 2]})"),
            "INVALID_ARGUMENT: JSON Parse error: Missing a comma or ] after an array element. at offset: 53");
  EXPECT_EQ(DecodeWith(resolve, R"({"instances": ["x"], "signature_name": 5})").substr(0, 30), "INVALID_ARGUMENT: JSON Value: ");
  EXPECT_EQ(DecodeWith(resolve, R"({"instances": ["x"], "inputs": 1, "signature_name": "bad"})"), "INVALID_ARGUMENT: no signature bad");
  EXPECT_EQ(DecodeWith(resolve, R"({"instances": ["x"]})"), "INVALID_ARGUMENT: no signature ");
  EXPECT_EQ(DecodeWith(resolve, R"({"instances": ["x"], "signature_name": "good"})"),
            "INVALID_ARGUMENT: Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: JSON Value: \"x\" Type: String is not of "
            "expected type: float");
}

TEST(JsonPredictErrorsTest, RowOrColumnForTheWrongModel) {
  EXPECT_EQ(Refusal(TwoInputs(), R"({"instances": [1]})"),
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per tensorinfo_map");
  EXPECT_EQ(Refusal(TwoInputs(), R"({"instances": [{"b64": "Zg=="}]})"),
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per tensorinfo_map");
  for (const char* inputs : {"1", "[1]", R"({"b64": "Zg=="})"}) {
    EXPECT_EQ(Refusal(TwoInputs(), fmt::format(R"({{"inputs": {}}})", inputs)),
              "inputs is a plain value/list, but expecting an object as multiple input tensors required as per tensorinfo_map");
  }
  EXPECT_EQ(Refusal(TwoInputs(), R"({"inputs": {"a": [1], "c": 2}})"), "Missing named input: b in 'inputs' object.");
  EXPECT_EQ(Refusal(DType::kFloat, R"({"inputs": {"X": [1]}})"), "Missing named input: x in 'inputs' object.");
  EXPECT_EQ(Refusal(DType::kFloat, R"({"inputs": {}})"), "Missing named input: x in 'inputs' object.");
}

TEST(JsonPredictErrorsTest, RowsThatMixObjectsAndLists) {
  EXPECT_EQ(Refusal(DType::kFloat, R"({"instances": [{"x": 1}, [1]]})"), "Expecting object but got list at item 1 of input list");
  EXPECT_EQ(Refusal(DType::kFloat, R"({"instances": [{"x": 1}, 5]})"), "Expecting object but got list at item 1 of input list");
  EXPECT_EQ(Refusal(DType::kString, R"({"instances": [{"x": "a"}, {"b64": "Zg=="}]})"), "Expecting object but got list at item 1 of input list");
  EXPECT_EQ(Refusal(DType::kFloat, R"({"instances": [1, 2, {"x": 1}]})"), "Expecting value/list but got object at item 2 of input list");
  EXPECT_EQ(Refusal(DType::kString, R"({"instances": [{"b64": "Zg=="}, {"x": "a"}]})"),
            "Expecting value/list but got object at item 1 of input list");
}

TEST(JsonPredictErrorsTest, KeysOfARow) {
  EXPECT_EQ(Refusal(TwoInputs(), R"({"instances": [{"a": 1, "b": 2}, {"a": 3}]})"),
            "Failed to process element: 1 of 'instances' list. JSON object: {\n    \"a\": 3\n} keys must be equal to: a,b");
  EXPECT_EQ(Refusal(TwoInputs(), R"({"instances": [{}]})"),
            "Failed to process element: 0 of 'instances' list. JSON object: {} keys must be equal to: a,b");
  EXPECT_EQ(Refusal(TwoInputs(), R"({"instances": [{"a": 1, "b": 2, "c": 3}]})"),
            "Failed to process element: 0 key: c of 'instances' list. Error: INVALID_ARGUMENT: JSON object: does not have named input: c");
  EXPECT_EQ(Refusal(TwoInputs(), R"({"instances": [{"a": 1, "b": "z"}]})"),
            "Failed to process element: 0 key: b of 'instances' list. Error: INVALID_ARGUMENT: JSON Value: \"z\" Type: String is not of expected "
            "type: float");
  EXPECT_EQ(Refusal(TwoInputs(), R"({"instances": [{"a": [1], "b": 2}, {"a": [1, 2], "b": 2}]})"),
            "Failed to process element: 1 key: a of 'instances' list. Error: INVALID_ARGUMENT: Expecting tensor size: 1 but got: 2");
}

// What is wrong with a value, as columnar requests say it.
TEST(JsonPredictErrorsTest, Types) {
  const auto refusal = [](DType dtype, std::string_view value) { return Refusal(dtype, fmt::format(R"({{"inputs": [{}]}})", value)); };
  EXPECT_EQ(refusal(DType::kFloat, R"("1")"), "JSON Value: \"1\" Type: String is not of expected type: float");
  EXPECT_EQ(refusal(DType::kFloat, "null"), "JSON Value: null Type: Null is not of expected type: float");
  EXPECT_EQ(refusal(DType::kFloat, "true"), "JSON Value: true Type: True is not of expected type: float");
  EXPECT_EQ(refusal(DType::kDouble, "false"), "JSON Value: false Type: False is not of expected type: double");
  EXPECT_EQ(refusal(DType::kFloat, R"({"a": 1})"), "JSON Value: {\n    \"a\": 1\n} Type: Object is not of expected type: float");
  EXPECT_EQ(refusal(DType::kInt32, "1.0"), "JSON Value: 1.0 Type: Number is not of expected type: int32");
  EXPECT_EQ(refusal(DType::kInt32, "1, 1e3"), "JSON Value: 1000.0 Type: Number is not of expected type: int32");
  EXPECT_EQ(refusal(DType::kInt32, "2147483648"), "JSON Value: 2147483648 Type: Number is not of expected type: int32");
  EXPECT_EQ(refusal(DType::kInt8, "3000000000"), "JSON Value: 3000000000 Type: Number is not of expected type: int8");
  EXPECT_EQ(refusal(DType::kInt64, "9223372036854775808"), "JSON Value: 9223372036854775808 Type: Number is not of expected type: int64");
  EXPECT_EQ(refusal(DType::kUint64, "36893488147419103232e1"), "JSON Value: 3.68934881474191e+20 Type: Number is not of expected type: uint64");
  EXPECT_EQ(refusal(DType::kUint32, "-1"), "JSON Value: -1 Type: Number is not of expected type: uint32");
  EXPECT_EQ(refusal(DType::kBool, "1"), "JSON Value: 1 Type: Number is not of expected type: bool");
  EXPECT_EQ(refusal(DType::kString, "1"), "JSON Value: 1 Type: Number is not of expected type: string");
  EXPECT_EQ(refusal(DType::kString, "null"), "JSON Value: null Type: Null is not of expected type: string");
  EXPECT_EQ(refusal(DType::kUint8, "300"), "JSON Value: 300 is out of range for type uint8");
  EXPECT_EQ(refusal(DType::kUint8, "0, -1"), "JSON Value: -1 is out of range for type uint8");
  EXPECT_EQ(refusal(DType::kInt16, "32768"), "JSON Value: 32768 is out of range for type int16");
  EXPECT_EQ(refusal(DType::kUint16, "65536"), "JSON Value: 65536 is out of range for type uint16");
}

TEST(JsonPredictErrorsTest, TypesWithoutAJsonForm) {
  for (const DType dtype : {DType::kInt4, DType::kInvalid}) {
    const std::string name{DTypeName(dtype)};
    EXPECT_EQ(Decode(OneInput(dtype), R"({"inputs": [1]})"), "UNIMPLEMENTED: Conversion of JSON Value: 1 to type: " + name);
    EXPECT_EQ(
        Decode(OneInput(dtype), R"({"instances": [1]})"),
        "INVALID_ARGUMENT: Failed to process element: 0 of 'instances' list. Error: UNIMPLEMENTED: Conversion of JSON Value: 1 to type: " + name);
  }
}

TEST(JsonPredictErrorsTest, Base64) {
  const auto refusal = [](std::string_view value) { return Refusal(DType::kString, fmt::format(R"({{"inputs": [{}]}})", value)); };
  EXPECT_EQ(refusal(R"({"b64": "Z"})"), "Unable to base64 decode");
  EXPECT_EQ(refusal(R"({"b64": 1})"), "JSON Value: {\n    \"b64\": 1\n} not formatted correctly for base64 data");
  EXPECT_EQ(refusal(R"({"b64": "Zg==", "x": 1})"), "JSON Value: {\n    \"b64\": \"Zg==\",\n    \"x\": 1\n} not formatted correctly for base64 data");
  EXPECT_EQ(Refusal(DType::kString, R"({"instances": [{"b64": "Zg=="}, {"b64": "*"}]})"),
            "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Unable to base64 decode");
  EXPECT_EQ(
      Refusal(DType::kInt32, R"({"instances": [{"b64": "Zg=="}]})"),
      "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: JSON Value: {\n    \"b64\": \"Zg==\"\n} Type: Object is not of "
      "expected type: int32");
}

TEST(JsonPredictErrorsTest, ShapesOfColumns) {
  const auto refusal = [](std::string_view value) { return Refusal(DType::kFloat, fmt::format(R"({{"inputs": {}}})", value)); };
  EXPECT_EQ(refusal("[[1,2],[3,4],[5,6,7]]"), "Encountered list at unexpected size: 3 at level: 1 expected size: 2");
  EXPECT_EQ(refusal("[[1,2],[3]]"), "Encountered list at unexpected size: 1 at level: 1 expected size: 2");
  EXPECT_EQ(refusal("[[1],[]]"), "Encountered list at unexpected size: 0 at level: 1 expected size: 1");
  EXPECT_EQ(refusal("[[],[1]]"), "Encountered list at unexpected size: 1 at level: 1 expected size: 0");
  EXPECT_EQ(refusal("[[[1,2],[3,4]],[[5,6]]]"), "Encountered list at unexpected size: 1 at level: 1 expected size: 2");
  EXPECT_EQ(refusal("[1,[1]]"), "Encountered list at unexpected level: 1 expected < 1");
  EXPECT_EQ(refusal("[[1,2],[3,[4]]]"), "Encountered list at unexpected level: 2 expected < 2");
  EXPECT_EQ(refusal("[[1],2]"), "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2");
  EXPECT_EQ(refusal("[[[1]],[2]]"), "JSON Value: 2 found at incorrect level: 3 in the JSON DOM. Expected at level: 3");
}

TEST(JsonPredictErrorsTest, ShapesOfRows) {
  const auto refusal = [](std::string_view rows) {
    constexpr std::string_view kWrapper = "Failed to process element: 2 of 'instances' list. Error: INVALID_ARGUMENT: ";
    const std::string message = Refusal(DType::kFloat, fmt::format(R"({{"instances": {}}})", rows));
    EXPECT_TRUE(message.starts_with(kWrapper)) << message;
    return message.substr(std::min(message.size(), kWrapper.size()));
  };
  EXPECT_EQ(refusal("[[1,2],[3,4],[5,6,7]]"), "Expecting tensor size: 2 but got: 3");
  EXPECT_EQ(refusal("[[1,2],[3,4],[[5,6]]]"), "Expecting shape [2] but got: [1,2]");
  EXPECT_EQ(refusal("[1,2,[3]]"), "Expecting shape [] but got: [1]");
  EXPECT_EQ(refusal("[1,2,[]]"), "Expecting tensor size: 1 but got: 0");
  EXPECT_EQ(refusal("[[[1]],[[2]],[[3],4]]"), "JSON Value: 4 found at incorrect level: 2 in the JSON DOM. Expected at level: 2");
  EXPECT_EQ(refusal("[[1,1],[2,2],[3,[4]]]"), "Encountered list at unexpected level: 1 expected < 1");
  EXPECT_EQ(refusal("[[[1],[1]],[[2],[2]],[[3],[4,5]]]"), "Encountered list at unexpected size: 2 at level: 1 expected size: 1");
  EXPECT_EQ(refusal("[0, 0, true]"), "JSON Value: true Type: True is not of expected type: float");
}

TEST(JsonPredictErrorsTest, MoreLevelsThanATensorHas) {
  const auto nested = [](int levels) { return Repeat("[", levels) + "1" + Repeat("]", levels); };
  const Signature floats = OneInput(DType::kFloat);
  EXPECT_EQ(Decode(floats, fmt::format(R"({{"inputs": {}}})", nested(8))), "OK");
  EXPECT_EQ(Refusal(floats, fmt::format(R"({{"inputs": {}}})", nested(9))), "Encountered list at unexpected level: 8 expected < 8");
  EXPECT_EQ(Decode(floats, fmt::format(R"({{"instances": {}}})", nested(8))), "OK");
  EXPECT_EQ(Refusal(floats, fmt::format(R"({{"instances": {}}})", nested(9))),
            "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: Encountered list at unexpected level: 7 expected < 7");
  EXPECT_EQ(Decode(floats, fmt::format(R"({{"instances": [{{"x": {}}}]}})", nested(7))), "OK");
  EXPECT_EQ(Refusal(floats, fmt::format(R"({{"instances": [{{"x": {}}}]}})", nested(8))),
            "Failed to process element: 0 key: x of 'instances' list. Error: INVALID_ARGUMENT: Encountered list at unexpected level: 7 expected < 7");
}

TEST(JsonPredictErrorsTest, HundredsOfThousandsOfBrackets) {
  const std::string lists = Repeat("[", kDeep) + Repeat("]", kDeep);
  const std::string objects = Repeat("{\"a\":", kDeep) + "1" + Repeat("}", kDeep);
  for (const std::string& deep : {lists, objects}) {
    EXPECT_EQ(Decode(OneInput(DType::kFloat), fmt::format(R"({{"unknown": {}, "instances": [1]}})", deep)), "OK");
    EXPECT_EQ(Decode(OneInput(DType::kFloat), fmt::format(R"({{"instances": [1], "unknown": {}}})", deep)), "OK");
    EXPECT_TRUE(Refusal(DType::kFloat, fmt::format(R"({{"instances": [1], "signature_name": {}}})", deep))
                    .ends_with("not formatted correctly. 'signature_name' key must be a string value."));
    EXPECT_TRUE(Refusal(DType::kFloat, deep + " ").starts_with(deep[0] == '[' ? "JSON Value: [" : "Missing 'inputs'"));
    EXPECT_FALSE(Refusal(DType::kString, fmt::format(R"({{"inputs": {{"x": {}}}}})", deep)).empty());
    EXPECT_FALSE(Refusal(DType::kFloat, fmt::format(R"({{"instances": [{{"x": {}}}]}})", deep)).empty());
  }
  EXPECT_EQ(Refusal(DType::kFloat, fmt::format(R"({{"instances": {}}})", lists)),
            "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: Encountered list at unexpected level: 7 expected < 7");
  EXPECT_EQ(Refusal(DType::kFloat, R"({"instances": )" + Repeat("[", kDeep)),
            fmt::format("JSON Parse error: Invalid value. at offset: {}", 14 + kDeep));
}

}  // namespace
}  // namespace tflite_serving
