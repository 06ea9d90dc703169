// How fast an image in JSON becomes a tensor, beside simdjson and RapidJSON in the same program, and how fast a tensor becomes JSON, beside a bare
// loop of std::to_chars. `./bench json` runs it and prints the ratios.
//
// The documents are 224x224x3 images in the notations that clients send: shortest float32 digits, what numpy's tolist() prints (the float64
// digits of float32 values), four decimals, and bytes. `items_per_second` counts numbers.
#include <charconv>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <rapidjson/document.h>
#include <simdjson.h>

#include "codec/base64.h"
#include "codec/json_numbers.h"
#include "codec/json_predict.h"
#include "codec/padded_document.h"

namespace tflite_serving {
namespace {

constexpr int kSide = 224;
constexpr int kChannels = 3;
constexpr int64_t kImageNumbers = int64_t{kSide} * kSide * kChannels;

enum class Notation { kShortestFloat, kSignedFloat, kNumpyFloat, kFourDecimals, kBytes };

void AppendNumber(std::string& text, Notation notation, std::mt19937& random) {
  std::uniform_real_distribution<float> unit(0, 1);
  std::normal_distribution<float> normal;
  char chars[64];
  char* const limit = chars + sizeof(chars);
  char* end;  // set by every case
  switch (notation) {
    case Notation::kShortestFloat:
      end = std::to_chars(chars, limit, unit(random), std::chars_format::fixed).ptr;
      break;
    case Notation::kSignedFloat:
      end = std::to_chars(chars, limit, normal(random), std::chars_format::fixed).ptr;
      break;
    case Notation::kNumpyFloat:
      end = std::to_chars(chars, limit, static_cast<double>(unit(random))).ptr;
      break;
    case Notation::kFourDecimals:
      end = std::to_chars(chars, limit, unit(random), std::chars_format::fixed, 4).ptr;
      break;
    case Notation::kBytes:
      end = std::to_chars(chars, limit, random() % 256).ptr;
      break;
  }
  text.append(chars, end);
}

// {"instances":[[[[r,g,b],...],...]]}, with `comma` between numbers and lists.
std::string ImageRequest(Notation notation, std::string_view comma) {
  std::mt19937 random(1);
  std::string text = "{\"instances\":[[";
  for (int y = 0; y < kSide; ++y) {
    text.append(y > 0 ? comma : "").append("[");
    for (int x = 0; x < kSide; ++x) {
      text.append(x > 0 ? comma : "").append("[");
      for (int c = 0; c < kChannels; ++c) {
        text.append(c > 0 ? comma : "");
        AppendNumber(text, notation, random);
      }
      text.append("]");
    }
    text.append("]");
  }
  return text.append("]]}");
}

DType TypeOf(Notation notation) { return notation == Notation::kBytes ? DType::kUint8 : DType::kFloat; }

void Count(benchmark::State& state, int64_t items, size_t bytes) {
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * items);
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) * static_cast<int64_t>(bytes));
}

void Decode(benchmark::State& state, Notation notation, std::string_view comma) {
  const Shape image{-1, kSide, kSide, kChannels};
  const Signature signature{.key = "serving_default", .inputs = {{.name = "x", .dtype = TypeOf(notation), .shape = image}}};
  const SignatureResolver resolve = [&](std::string_view) -> StatusOr<const Signature*> { return &signature; };
  PaddedDocument document(ImageRequest(notation, comma));
  JsonPredictRequest request;
  while (state.KeepRunning()) {
    const Status status = DecodeJsonPredict(document.body(), resolve, request);
    if (!status.ok() || *request.inputs[0].shape().NumElements() != kImageNumbers) state.SkipWithError(status.message().c_str());
  }
  Count(state, kImageNumbers, document.text().size());
}

// A kernel alone, over the lists of one image.
void Kernel(benchmark::State& state, Notation notation, const NumberReader* (*reader_for)(DType)) {
  const NumberReader* const reader = reader_for(TypeOf(notation));
  if (reader == nullptr) return state.SkipWithError("this machine lacks the instructions");
  PaddedDocument document(ImageRequest(notation, ","));
  std::vector<std::byte> memory(static_cast<size_t>(kImageNumbers) * reader->element_bytes);
  while (state.KeepRunning()) {
    const char* p = document.text().data() + document.text().find('[');
    std::byte* out = memory.data();
    while (*p != '}') {
      if (*p == '[' || *p == ']' || *p == ',') {
        ++p;
        continue;
      }
      NumberRun run{.position = p, .out = out, .out_end = memory.data() + memory.size(), .has_siblings = true};
      reader->read_run(run);
      p = run.position;
      out = run.out;
    }
    if (out != memory.data() + memory.size()) return state.SkipWithError("numbers are missing");
    benchmark::ClobberMemory();
  }
  Count(state, kImageNumbers, document.text().size());
}

// What simdjson's and RapidJSON's documents have in common: walks the nested lists of one parsed image into the same memory, its shape checked.
template <class Array, class Each>
bool ForEach(const Array& array, size_t expected, const Each& each) {
  size_t count = 0;
  for (const auto& element : array) {
    if (!each(element)) return false;
    ++count;
  }
  return count == expected;
}

void SimdjsonDom(benchmark::State& state, Notation notation) {
  const simdjson::padded_string document(ImageRequest(notation, ","));
  simdjson::dom::parser parser;
  std::vector<float> numbers(static_cast<size_t>(kImageNumbers));
  while (state.KeepRunning()) {
    float* out = numbers.data();
    const simdjson::dom::array instances = parser.parse(document)["instances"];
    const bool ok = ForEach(instances, 1, [&](simdjson::dom::array image) {
      return ForEach(image, kSide, [&](simdjson::dom::array row) {
        return ForEach(row, kSide, [&](simdjson::dom::array pixel) {
          return ForEach(pixel, kChannels, [&](simdjson::dom::element value) {
            double number = 0;
            if (value.get(number) != simdjson::SUCCESS) return false;
            *out++ = static_cast<float>(number);
            return true;
          });
        });
      });
    });
    if (!ok) return state.SkipWithError("not the image");
    benchmark::ClobberMemory();
  }
  Count(state, kImageNumbers, document.size());
}

// As TensorFlow Serving parses: NaN and infinities accepted, what follows the document ignored, iteratively.
void RapidjsonDom(benchmark::State& state, Notation notation) {
  const std::string text = ImageRequest(notation, ",");
  std::vector<float> numbers(static_cast<size_t>(kImageNumbers));
  while (state.KeepRunning()) {
    float* out = numbers.data();
    rapidjson::Document document;
    document.Parse<rapidjson::kParseIterativeFlag | rapidjson::kParseNanAndInfFlag | rapidjson::kParseStopWhenDoneFlag>(text.c_str());
    const bool ok = ForEach(document["instances"].GetArray(), 1, [&](const rapidjson::Value& image) {
      return ForEach(image.GetArray(), kSide, [&](const rapidjson::Value& row) {
        return ForEach(row.GetArray(), kSide, [&](const rapidjson::Value& pixel) {
          return ForEach(pixel.GetArray(), kChannels, [&](const rapidjson::Value& value) {
            *out++ = static_cast<float>(value.GetDouble());
            return value.IsNumber();
          });
        });
      });
    });
    if (!ok) return state.SkipWithError("not the image");
    benchmark::ClobberMemory();
  }
  Count(state, kImageNumbers, text.size());
}

// simdjson's on-demand parser filling the same memory. It is told the nesting and checks no shape.
void Simdjson(benchmark::State& state, Notation notation) {
  const simdjson::padded_string document(ImageRequest(notation, ","));
  simdjson::ondemand::parser parser;
  std::vector<float> numbers(static_cast<size_t>(kImageNumbers));
  while (state.KeepRunning()) {
    size_t count = 0;
    auto json = parser.iterate(document);
    for (auto image : json["instances"].get_array()) {
      for (auto row : image.get_array()) {
        for (auto pixel : row.get_array()) {
          for (auto value : pixel.get_array()) numbers[count++] = static_cast<float>(value.get_double().value());
        }
      }
    }
    if (count != numbers.size()) return state.SkipWithError("numbers are missing");
    benchmark::ClobberMemory();
  }
  Count(state, kImageNumbers, document.size());
}

void DecodeSmall(benchmark::State& state) {
  const Signature signature{.key = "serving_default", .inputs = {{.name = "x", .dtype = DType::kFloat, .shape = {-1}}}};
  const SignatureResolver resolve = [&](std::string_view) -> StatusOr<const Signature*> { return &signature; };
  PaddedDocument document(R"({"instances": [1.0, 2.0, 5.0]})");
  JsonPredictRequest request;
  while (state.KeepRunning()) {
    if (!DecodeJsonPredict(document.body(), resolve, request).ok()) state.SkipWithError("refused");
  }
  Count(state, 3, document.text().size());
}

void Encode(benchmark::State& state, int64_t rows, int64_t columns) {
  const Signature signature{.key = "serving_default", .outputs = {{.name = "y", .dtype = DType::kFloat, .shape = {-1, columns}}}};
  StatusOr<Tensor> tensor = Tensor::Create(DType::kFloat, Shape({rows, columns}));
  if (!tensor.ok()) return state.SkipWithError("no memory");
  std::mt19937 random(1);
  std::exponential_distribution<float> softmax(static_cast<float>(columns));
  for (size_t i = 0; i < tensor->bytes().size(); i += sizeof(float)) *reinterpret_cast<float*>(&tensor->bytes()[i]) = softmax(random);
  const TensorView views[] = {tensor->view()};
  std::string body;
  while (state.KeepRunning()) {
    if (!EncodeJsonPredict(signature, views, JsonFormat::kRow, body).ok()) state.SkipWithError("refused");
  }
  Count(state, rows * columns, body.size());
}

// The floor of Encode: the same numbers and separators by std::to_chars into memory that is large enough.
void ToChars(benchmark::State& state, int64_t rows, int64_t columns) {
  std::mt19937 random(1);
  std::exponential_distribution<float> softmax(static_cast<float>(columns));
  std::vector<float> numbers(static_cast<size_t>(rows * columns));
  for (float& number : numbers) number = softmax(random);
  std::string body(numbers.size() * 20, '\0');
  size_t size = 0;
  while (state.KeepRunning()) {
    char* out = body.data();
    for (const float number : numbers) {
      out = std::to_chars(out, body.data() + body.size(), number).ptr;
      *out++ = ',';
    }
    size = static_cast<size_t>(out - body.data());
    benchmark::ClobberMemory();
  }
  Count(state, rows * columns, size);
}

void Base64(benchmark::State& state) {
  std::string bytes(size_t{100} << 10, '\0');
  std::mt19937 random(1);
  for (char& c : bytes) c = static_cast<char>(random());
  std::string text(Base64EncodedSize(bytes.size()), '\0');
  EncodeBase64(bytes, text.data());
  std::string decoded;
  while (state.KeepRunning()) {
    decoded.clear();
    if (!DecodeBase64(text, decoded)) state.SkipWithError("refused");
  }
  Count(state, static_cast<int64_t>(bytes.size()), text.size());
}

constexpr auto kMicrosecond = benchmark::kMicrosecond;
BENCHMARK_CAPTURE(Decode, shortest_float, Notation::kShortestFloat, ",")->Unit(kMicrosecond);
BENCHMARK_CAPTURE(Decode, shortest_float_with_spaces, Notation::kShortestFloat, ", ")->Unit(kMicrosecond);
BENCHMARK_CAPTURE(Decode, signed_float, Notation::kSignedFloat, ",")->Unit(kMicrosecond);
BENCHMARK_CAPTURE(Decode, numpy_float, Notation::kNumpyFloat, ",")->Unit(kMicrosecond);
BENCHMARK_CAPTURE(Decode, four_decimals, Notation::kFourDecimals, ",")->Unit(kMicrosecond);
BENCHMARK_CAPTURE(Decode, bytes, Notation::kBytes, ",")->Unit(kMicrosecond);
BENCHMARK_CAPTURE(Kernel, portable_shortest_float, Notation::kShortestFloat, &PortableNumberReader)->Unit(kMicrosecond);
BENCHMARK_CAPTURE(Kernel, sse41_shortest_float, Notation::kShortestFloat, &Sse41NumberReader)->Unit(kMicrosecond);
BENCHMARK_CAPTURE(Kernel, avx2_shortest_float, Notation::kShortestFloat, &Avx2NumberReader)->Unit(kMicrosecond);
BENCHMARK_CAPTURE(SimdjsonDom, shortest_float, Notation::kShortestFloat)->Unit(kMicrosecond);
BENCHMARK_CAPTURE(SimdjsonDom, numpy_float, Notation::kNumpyFloat)->Unit(kMicrosecond);
BENCHMARK_CAPTURE(SimdjsonDom, four_decimals, Notation::kFourDecimals)->Unit(kMicrosecond);
BENCHMARK_CAPTURE(SimdjsonDom, bytes, Notation::kBytes)->Unit(kMicrosecond);
BENCHMARK_CAPTURE(RapidjsonDom, shortest_float, Notation::kShortestFloat)->Unit(kMicrosecond);
BENCHMARK_CAPTURE(RapidjsonDom, numpy_float, Notation::kNumpyFloat)->Unit(kMicrosecond);
BENCHMARK_CAPTURE(RapidjsonDom, four_decimals, Notation::kFourDecimals)->Unit(kMicrosecond);
BENCHMARK_CAPTURE(RapidjsonDom, bytes, Notation::kBytes)->Unit(kMicrosecond);
BENCHMARK_CAPTURE(Simdjson, shortest_float, Notation::kShortestFloat)->Unit(kMicrosecond);
BENCHMARK_CAPTURE(Simdjson, numpy_float, Notation::kNumpyFloat)->Unit(kMicrosecond);
BENCHMARK_CAPTURE(Simdjson, four_decimals, Notation::kFourDecimals)->Unit(kMicrosecond);
BENCHMARK_CAPTURE(Simdjson, bytes, Notation::kBytes)->Unit(kMicrosecond);
BENCHMARK(DecodeSmall);
BENCHMARK_CAPTURE(Encode, half_plus_two, 3, 1);
BENCHMARK_CAPTURE(Encode, softmax_1001, 1, 1001)->Unit(kMicrosecond);
BENCHMARK_CAPTURE(Encode, softmax_1000x1001, 1000, 1001)->Unit(kMicrosecond);
BENCHMARK_CAPTURE(ToChars, softmax_1000x1001, 1000, 1001)->Unit(kMicrosecond);
BENCHMARK(Base64)->Unit(kMicrosecond);

}  // namespace
}  // namespace tflite_serving

BENCHMARK_MAIN();
