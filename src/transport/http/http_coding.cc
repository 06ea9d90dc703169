#include "transport/http/http_coding.h"

#include <libdeflate.h>

#include <algorithm>
#include <memory>
#include <optional>

namespace tflite_serving {
namespace {

// The fastest; higher levels make JSON of numbers a few per cent smaller at several times the cost.
constexpr int kGzipLevel = 1;

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | ' ') : c; }
bool IsWord(std::string_view text, std::string_view word) { return std::ranges::equal(text, word, {}, Lower); }

std::string_view Trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

// Removes what stands before the first `separator`, and that, from the front of `rest`, and returns it trimmed.
std::string_view TakePart(std::string_view& rest, char separator) {
  const size_t end = std::min(rest.find(separator), rest.size());
  const std::string_view part = Trim(rest.substr(0, end));
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return part;
}

// The weight of "gzip;q=0.25" in thousandths. 1000 without one, 0 for one that is malformed: that is not what the client asked for.
int Weight(std::string_view parameters) {
  constexpr size_t kMaxDecimals = 3;
  while (!parameters.empty()) {
    std::string_view value = TakePart(parameters, ';');
    if (!IsWord(TakePart(value, '='), "q")) continue;
    if (value.empty() || (value[0] != '0' && value[0] != '1') || (value.size() > 1 && value[1] != '.')) return 0;
    if (value.size() > 2 + kMaxDecimals) return 0;
    int weight = (value[0] - '0') * 1000;
    int unit = 100;
    for (const char digit : value.substr(std::min<size_t>(value.size(), 2))) {
      if (digit < '0' || digit > '9') return 0;
      weight += (digit - '0') * unit;
      unit /= 10;
    }
    return std::min(weight, 1000);
  }
  return 1000;
}

struct FreeCompressor {
  void operator()(libdeflate_compressor* compressor) const { libdeflate_free_compressor(compressor); }
};

}  // namespace

HttpCoding ParseContentEncoding(std::string_view value) {
  HttpCoding coding = HttpCoding::kIdentity;
  while (!value.empty()) {
    const std::string_view name = TakePart(value, ',');
    if (name.empty() || IsWord(name, "identity")) continue;
    if (coding != HttpCoding::kIdentity) return HttpCoding::kUnsupported;
    if (IsWord(name, "gzip") || IsWord(name, "x-gzip")) {
      coding = HttpCoding::kGzip;
    } else if (IsWord(name, "deflate")) {
      coding = HttpCoding::kDeflate;
    } else {
      return HttpCoding::kUnsupported;
    }
  }
  return coding;
}

bool AcceptsGzip(std::string_view value) {
  std::optional<int> gzip;
  int others = 0;
  int identity = 0;
  while (!value.empty()) {
    std::string_view item = TakePart(value, ',');
    const std::string_view name = TakePart(item, ';');
    if (IsWord(name, "gzip") || IsWord(name, "x-gzip")) {
      gzip = Weight(item);
    } else if (name == "*") {
      others = Weight(item);
    } else if (IsWord(name, "identity")) {
      identity = Weight(item);
    }
  }
  const int weight = gzip.value_or(others);
  return weight > 0 && weight >= identity;
}

bool Gzip(std::string_view body, std::string& out) {
  thread_local const std::unique_ptr<libdeflate_compressor, FreeCompressor> compressor(libdeflate_alloc_compressor(kGzipLevel));
  if (compressor == nullptr || body.empty()) return false;
  out.resize(body.size() - 1);
  const size_t size = libdeflate_gzip_compress(compressor.get(), body.data(), body.size(), out.data(), out.size());
  out.resize(size);
  return size > 0;
}

}  // namespace tflite_serving
